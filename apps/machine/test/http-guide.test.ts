import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { openBox } from './support.ts';

const repository = join(import.meta.dirname, '../../..');
const guide = readFileSync(join(repository, 'docs/guides/http-api.md'), 'utf8');
const blocks = [...guide.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, kind = '', text = '']) => ({ kind, text }));
const hasCurl = spawnSync('curl', ['--version']).status === 0;

const asOneLine = (text: string) => text.replaceAll(/\s+/g, ' ').trim();

/** Runs all blocks in one shell; resolves with what each said. */
async function run(scripts: readonly string[], dir: string): Promise<string[]> {
  const path = [join(repository, 'node_modules/.bin'), dirname(process.execPath), process.env.PATH].join(':');
  const mark = '=== the end of a block ===';
  const script = scripts.map((text) => `${text}\necho\necho '${mark}'\n`).join('');
  const child = spawn('bash', ['-eu', '-c', script], { cwd: dir, env: { PATH: path, HOME: dir } });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk));
  const code = await new Promise((resolve) => child.once('close', resolve));
  expect(code, said.slice(-2_000)).toBe(0);
  return said.split(mark);
}

test.runIf(hasCurl)('the guide to the HTTP API says what a machine does', { timeout: 60_000 }, async () => {
  await using box = await openBox();
  expect((await box.mgpu(['up', '--mock', '2', '--detach'])).code).toBe(0);
  const scripts = blocks.filter(({ kind }) => kind === 'sh').map(({ text }) => text);
  const said = await run(
    scripts.map((text) => text.replaceAll(':9090', `:${box.port + 21}`)),
    box.dir,
  );
  let index = -1;
  let promises = 0;
  for (const { kind, text } of blocks) {
    if (kind === 'sh') index += 1;
    if (kind !== 'text') continue;
    promises += 1;
    expect(asOneLine(said[index] ?? '')).toContain(asOneLine(text));
  }
  expect(promises).toBeGreaterThanOrEqual(6);
  expect(readFileSync(join(box.dir, 'picture.png')).subarray(1, 4).toString()).toBe('PNG');
});
