import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { leasePorts } from '@mgpu/core/testing';
import { expect, onTestFinished, test, vi } from 'vitest';
import { ask } from './example.ts';
import { simulator } from './support.ts';

const read = (name: string) => readFile(join(import.meta.dirname, name), 'utf8');

test('the example works, and its failures are told', async () => {
  using ports = await leasePorts(1);
  const told = vi.spyOn(console, 'log').mockImplementation(() => {});
  onTestFinished(() => told.mockRestore());
  const options = { command: simulator, listen: { port: ports.first } };
  expect(await ask(options, 'llama3.2:1b', 'who are you?')).toMatch(/^\w+( \w+)+$/);
  expect(told).toHaveBeenLastCalledWith('success', undefined, undefined);
  await expect(ask(options, 'no such name', 'who are you?')).rejects.toMatchObject({ code: 'OLLAMA_MODEL_UNKNOWN' });
});

test('the README shows that example', async () => {
  const [, shown] = /```ts\n(.*?)```/s.exec(await read('../README.md')) ?? [];
  expect(shown).toBe((await read('example.ts')).replace('../src/index.ts', '@mgpu/ollama'));
});
