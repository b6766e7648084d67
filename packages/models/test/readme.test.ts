import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { bringLora } from './example.ts';
import { bytes, read, sendFile, serve, sha256, temporaryFolder } from './support.ts';

const text = (name: string) => readFile(join(import.meta.dirname, name), 'utf8');

test('the example works, and tells what failed', async () => {
  const content = bytes(1_000);
  const server = await serve((request, response) => sendFile(request, response, content));
  const root = temporaryFolder();
  expect(await bringLora(root, `${server.url}/nice.safetensors`, sha256(content))).toEqual([]);
  expect(read(join(root, 'shared/models/loras/nice.safetensors')).equals(content)).toBe(true);
  expect(await bringLora(root, `${server.url}/other.safetensors`, '0'.repeat(64))).toEqual([
    expect.stringContaining('has the SHA-256'),
  ]);
});

test('the README shows that example', async () => {
  const [, shown] = /```ts\n(.*?)```/s.exec(await text('../README.md')) ?? [];
  expect(shown).toBe((await text('example.ts')).replace('../src/index.ts', '@mgpu/models'));
});
