import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { leasePorts } from '@mgpu/core/testing';
import { expect, test } from 'vitest';
import { render } from './example.ts';
import { inverted, invertGraph, isPlain, simulator } from './support.ts';

const read = (name: string) => readFile(join(import.meta.dirname, name), 'utf8');

test('the example works, and its failures are told', async () => {
  using ports = await leasePorts(1);
  const options = { gpu: 0, cpu: true, command: simulator, port: ports.first };
  const pictures = await render(options, invertGraph({ color: 0x10_20_30 }));
  expect(pictures.map((picture) => isPlain(picture, inverted(0x10_20_30)))).toEqual([true]);
  const broken = { ...invertGraph(), 1: { class_type: 'LoadImage', inputs: { image: 'missing.png' } } };
  await expect(render(options, broken)).rejects.toMatchObject({ code: 'COMFYUI_PROMPT_INVALID' });
});

test('the README shows that example', async () => {
  const [, shown] = /```ts\n(.*?)```/s.exec(await read('../README.md')) ?? [];
  expect(shown).toBe((await read('example.ts')).replace('../src/index.ts', '@mgpu/comfyui'));
});
