import { readFileSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { decode } from 'fast-png';
import { expect, test } from 'vitest';
import { openBox } from './support.ts';

test('the demo makes a picture on each of two simulated GPUs, prints where they are, and leaves only them', async () => {
  await using box = await openBox();
  const { code, stdout, stderr } = await box.mgpu(['demo']);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  const engines = [...stdout.matchAll(/^[0-9a-f]{8} +comfyui_gpu(\d)/gm)].map(([, gpu]) => gpu);
  expect(engines.toSorted()).toEqual(['0', '1']);
  const pictures = stdout.split('\n').filter((line) => line.startsWith('/'));
  expect(pictures).toHaveLength(4);
  for (const path of pictures.filter((each) => each.includes('inverted'))) {
    const { data } = decode(readFileSync(path));
    expect([...data.slice(0, 3)]).toEqual([0, 255, 255]);
  }
  const root = pictures[0]?.slice(0, pictures[0].indexOf('/artifacts/')) ?? '';
  expect(root).toMatch(/mgpu-demo-[^/]+$/);
  expect(await readdir(root)).toEqual(['artifacts']);
  for (const line of stdout.split('\n').filter((each) => !each.startsWith('/'))) {
    expect(line.length, line).toBeLessThanOrEqual(80);
    expect(line, line).toBe(line.trimEnd());
  }
  // Only now: what failed is there to be looked at.
  await rm(root, { recursive: true });
});
