import { readFileSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { listProcesses } from '@mgpu/core';
import { decode } from 'fast-png';
import { expect, test } from 'vitest';
import { openBox } from './support.ts';

/** The steps of the stock machine. */
const phases = [
  ...['control', 'environment', 'access', 'git credentials', 'custom nodes', 'workflow sync', 'model sync'],
  ...[
    'shared directories',
    'pre-installed nodes',
    'verification',
    'static model links',
    'http',
    'nginx',
    'A1111',
    'ComfyUI',
    'Ollama',
    'Redis',
    'watchdog',
    'workers',
  ],
];

test('the demo boots everything on two simulated GPUs, sends each engine a job, and leaves only the results', async () => {
  await using box = await openBox();
  const { code, stdout, stderr } = await box.mgpu(['demo']);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  expect([...stdout.matchAll(/^ {2}✔ (\S+(?: [a-z]\S*)*) +[\d.]+ m?s/gm)].map(([, name]) => name)).toEqual(
    expect.arrayContaining(phases),
  );
  expect(stdout).not.toMatch(/^ {2}[✖!–]/m);
  const engines = [...stdout.matchAll(/^[0-9a-f]{8} +(\w+)/gm)].map(([, engine]) => engine);
  expect(engines.toSorted()).toEqual(['a1111_gpu0', 'a1111_gpu1', 'comfyui_gpu0', 'comfyui_gpu1', 'ollama']);
  const results = stdout.split('\n').filter((line) => line.startsWith('/'));
  const pictures = results.filter((path) => path.endsWith('.png'));
  expect(pictures.filter((path) => path.includes('/artifacts/comfyui.'))).toHaveLength(4);
  for (const path of pictures.filter((each) => each.includes('inverted'))) {
    const { data } = decode(readFileSync(path));
    expect([...data.slice(0, 3)]).toEqual([0, 255, 255]);
  }
  const painted = pictures.filter((path) => path.includes('/artifacts/a1111.'));
  expect(painted).toHaveLength(2);
  // The model came by a download, and to this engine by a link.
  for (const path of painted) expect(readFileSync(path, 'latin1')).toContain('Model: demo,');
  const answers = results.filter((path) => path.endsWith('/answer.txt'));
  expect(answers).toHaveLength(1);
  expect(readFileSync(answers[0] ?? '', 'utf8')).toMatch(/\w+ \w+/);

  const root = results[0]?.slice(0, results[0].indexOf('/artifacts/')) ?? '';
  expect(root).toMatch(/mgpu-demo-[^/]+$/);
  expect(await readdir(root)).toEqual(['artifacts']);
  expect(await readdir(box.dir), 'the home of whoever runs it').toEqual(['mgpu.config.yaml']);
  const traces = listProcesses().filter(({ pid }) =>
    ['cmdline', 'environ'].some((file) => readOrNothing(`/proc/${pid}/${file}`).includes(root)),
  );
  expect(traces).toEqual([]);
  for (const line of stdout.split('\n').filter((each) => !each.startsWith('/'))) {
    expect(line.length, line).toBeLessThanOrEqual(80);
    expect(line, line).toBe(line.trimEnd());
  }
  // Only now: what failed is there to be looked at.
  await rm(root, { recursive: true });
});

function readOrNothing(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // ended meanwhile, or somebody else's
  }
}
