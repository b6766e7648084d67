import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { bringNodes } from './example.ts';
import { Repository, temporaryFolder } from './support.ts';

const read = (name: string) => readFile(join(import.meta.dirname, name), 'utf8');

test('the example works, and tells what failed', async () => {
  const root = temporaryFolder();
  const engine = new Repository(join(root, 'engine'));
  const list = join(root, 'config_nodes.json');
  const nodes = [
    { name: 'one', url: new Repository(join(root, 'one')).url },
    { name: 'two', url: join(root, 'two') },
  ];
  await writeFile(list, JSON.stringify({ custom_nodes: nodes }));
  expect(await bringNodes(engine.dir, list)).toEqual([expect.stringContaining('there is no repository at')]);
  expect(await readFile(join(engine.dir, 'custom_nodes', 'one', '__init__.py'), 'utf8')).not.toBe('');
});

test('the README shows that example', async () => {
  const [, shown] = /```ts\n(.*?)```/s.exec(await read('../README.md')) ?? [];
  expect(shown).toBe((await read('example.ts')).replace('../src/index.ts', '@mgpu/custom-nodes'));
});
