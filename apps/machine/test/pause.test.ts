import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Box, openBox, statusOf } from './support.ts';

const pauseBefore = (phase: string) => ({ DEBUG_HOOK_BEFORE: phase });

async function statesOf(box: Box): Promise<Record<string, string>> {
  const { instances } = await statusOf(box);
  return Object.fromEntries(instances.map(({ id, state }) => [id, state]));
}

test('a boot pauses before the phases that are named, and goes on when somebody says so', async () => {
  await using box = await openBox();
  const up = box.start(['up', '--mock', '1', '--detach'], pauseBefore('workers, A1111 setup'));
  const file = join(box.root, 'run', 'paused-before-workers');
  await expect.poll(() => existsSync(file)).toBe(true);
  await expect.poll(() => statesOf(box)).toMatchObject({ comfyui_gpu0: 'running', worker_gpu0: 'blocked' });
  await rm(file);
  expect(await up.ended).toMatchObject({ code: 0, stderr: '' });
  expect(await statesOf(box)).toMatchObject({ worker_gpu0: 'running' });
});

test('a pause ends with the boot, and leaves nothing', async () => {
  await using box = await openBox();
  const up = box.start(['up', '--mock', '1'], pauseBefore('ComfyUI setup'));
  await expect.poll(() => existsSync(join(box.root, 'run', 'paused-before-ComfyUI-setup'))).toBe(true);
  up.kill('SIGINT');
  expect((await up.ended).code).toBe(1);
  expect(await readdir(join(box.root, 'run'))).toEqual([]);
});

test('a phase that there is not is refused with those that there are', async () => {
  await using box = await openBox();
  const { code, stderr } = await box.mgpu(['up', '--mock', '1', '--detach'], pauseBefore('wrokers'));
  expect(code).toBe(2);
  expect(stderr).toMatch(/there is no phase "wrokers"; known are .*workers/s);
});
