import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { leasePorts } from '@mgpu/core/testing';
import { decode } from 'fast-png';
import { expect, test } from 'vitest';
import { a1111Schema } from '../src/config.ts';
import { imagine } from './example.ts';
import { quick, simulator } from './support.ts';

const read = (name: string) => readFile(join(import.meta.dirname, name), 'utf8');

test('the example works, and its failures are told', async () => {
  using ports = await leasePorts(1);
  const options = { gpu: 0, cpu: true, command: simulator, port: ports.first };
  const percents: number[] = [];
  const request = quick({ seed: 11, steps: 10 });
  const { images, seeds } = await imagine(options, request, (percent) => void percents.push(percent));
  expect(seeds).toEqual([11]);
  expect(images.map((image) => decode(image).width)).toEqual([64]);
  expect(percents.length).toBeGreaterThan(1);
  await expect(imagine(options, { script_name: 'none' })).rejects.toMatchObject({ code: 'A1111_REFUSED' });
});

test('the README shows that example', async () => {
  const [, shown] = /```ts\n(.*?)```/s.exec(await read('../README.md')) ?? [];
  expect(shown).toBe((await read('example.ts')).replace('../src/index.ts', '@mgpu/a1111'));
});

test('the README has every key of the configuration', async () => {
  const readme = await read('../README.md');
  const { setup, ...keys } = a1111Schema.shape;
  const ofSetup = Object.keys(a1111Schema.parse({}).setup);
  const all = [...Object.keys(keys), ...ofSetup.filter((key) => key !== 'torch')];
  expect(setup).toBeDefined();
  expect(all.filter((key) => !readme.includes(`| \`${key}\``))).toEqual([]);
});
