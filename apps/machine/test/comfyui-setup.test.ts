import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { JobStatus } from '@mgpu/core';
import { decode } from 'fast-png';
import { expect, test } from 'vitest';
import { openFreshBox } from './fresh-box.ts';
import { type Box, invertWorkflow, openBox, statusOf } from './support.ts';

const versions = async (box: Box) => {
  const { instances } = await statusOf(box);
  const engines = instances.filter(({ kind }) => kind === 'comfyui');
  return Promise.all(
    engines.map(async ({ endpoint = '' }) => {
      const stats = (await (await fetch(new URL('system_stats', endpoint))).json()) as {
        system: { comfyui_version: string };
      };
      return stats.system.comfyui_version;
    }),
  );
};

test('from nothing to a picture, to the next version and back, by commands alone', { timeout: 120_000 }, async () => {
  await using box = await openFreshBox();
  await box.release('0.26.0');
  const early = await box.mgpu(['up', '--detach']);
  expect(early.code).toBe(1);
  expect(early.stderr).toContain('mgpu comfyui setup');

  const installed = await box.mgpu(['comfyui', 'setup']);
  expect(installed.stderr).toBe('');
  expect(installed.stdout).toMatch(
    /✔ checkout(?:.|\n)*✔ environment(?:.|\n)*✔ torch(?:.|\n)*✔ requirements(?:.|\n)*✔ verification/,
  );
  const current = join(box.root, 'engines', 'comfyui', 'current');
  const first = readlinkSync(current);
  const again = await box.mgpu(['comfyui', 'setup', '0']);
  expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining('is there already') });
  expect(again.stderr).toContain('one installation of comfyui serves all GPUs');
  expect((await box.mgpu(['doctor'])).stdout).toMatch(/comfyui +ComfyUI 0\.26\.0, generation 0001-\w+/);

  expect((await box.mgpu(['up', '--detach'])).code).toBe(0);
  const workflow = await box.writeJson('invert.json', invertWorkflow());
  const { result } = (await box.mgpu(['run', workflow, '--json'])).json<JobStatus>().data;
  expect([...decode(readFileSync(result?.artifacts[0]?.path ?? '')).data.slice(0, 3)]).toEqual([0, 255, 255]);

  const commit = await box.release('0.27.0');
  const updated = await box.mgpu(['comfyui', 'setup', '--update']);
  expect(updated.stdout).toMatch(/✔ comfyui_gpu0(?:.|\n)*✔ comfyui_gpu1(?:.|\n)*ComfyUI 0\.27\.0 is in force/);
  expect(await versions(box)).toEqual(['0.27.0', '0.27.0']);
  const listed = (await box.mgpu(['comfyui', 'generations', '--json'])).json<{ current: string; previous: string }>();
  expect(listed.data).toMatchObject({
    current: `0002-${commit.slice(0, 7)}`,
    previous: first.replace('generations/', ''),
  });
  expect((await box.mgpu(['comfyui', 'generations', 'diff', '1'])).stdout).toContain('~ ComfyUI 0.26.0 → 0.27.0');

  await box.release('0.28.0', 'out of order');
  const failed = await box.mgpu(['comfyui', 'setup', '--update']);
  expect(failed.code).toBe(1);
  expect(failed.stderr).toMatch(
    /comfyui_gpu0 does not do with generation 0003-\w+: .*out of order.*everything is back on 0002/,
  );
  expect(await versions(box)).toEqual(['0.27.0', '0.27.0']);

  const back = await box.mgpu(['comfyui', 'generations', 'rollback']);
  expect(back.stdout).toContain('ComfyUI 0.26.0 is in force');
  expect(await versions(box)).toEqual(['0.26.0', '0.26.0']);
  expect(readlinkSync(current)).toBe(first);
  expect((await box.mgpu(['run', workflow, '--json'])).json<JobStatus>().data.state).toBe('completed');

  expect((await box.mgpu(['comfyui', 'generations', 'prune', '--keep', '1'])).stdout).toMatch(/^removed 0002-\w+$/m);
  expect(existsSync(join(box.root, 'engines/comfyui', first))).toBe(true);
  const unknown = await box.mgpu(['comfyui', 'generations', 'switch', '7']);
  expect(unknown.stderr).toContain('COMFYUI_GENERATION_UNKNOWN');
});

test('a checkout of the user is not touched', async () => {
  await using box = await openBox((_, dir) => ({ comfyui: { dir } }));
  const { code, stderr } = await box.mgpu(['comfyui', 'setup']);
  expect(code).toBe(1);
  expect(stderr).toContain('MACHINE_OWN_CHECKOUT');
});
