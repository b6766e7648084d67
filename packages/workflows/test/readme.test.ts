import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { syncOnce } from './example.ts';
import { filesIn, Shared, write } from './support.ts';

const read = (name: string) => readFile(join(import.meta.dirname, name), 'utf8');

test('the example works, and tells what to look at', async () => {
  const shared = new Shared({ 'a.json': 'theirs\n' });
  const dir = join(shared.root, 'box');
  write(dir, { 'a.json': 'mine\n' });
  expect(await syncOnce(dir, shared.url, 'box')).toEqual([
    expect.stringMatching(/^a\.json was changed on both sides; ours is a\.sync-conflict-/),
  ]);
  expect(filesIn(dir)).toEqual(shared.files);
  expect(await syncOnce(dir, `${shared.url}-not`, 'box')).toEqual([
    expect.stringContaining('there is no repository at'),
  ]);
});

test('the README shows that example', async () => {
  const [, shown] = /```ts\n(.*?)```/s.exec(await read('../README.md')) ?? [];
  expect(shown).toBe((await read('example.ts')).replace('../src/index.ts', '@mgpu/workflows'));
});
