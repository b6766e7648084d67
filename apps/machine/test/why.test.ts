import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Box, openBox, statusOf } from './support.ts';

interface Why {
  readonly incidents: readonly { cause: { code: string }; actions: readonly { what: string }[] }[];
}

const ask = async (box: Box, subject: string) => (await box.mgpu(['why', subject, '--json'])).json<Why>().data;

test('tells what went wrong and what was done about it, with a daemon and without', async () => {
  await using box = await openBox();
  expect((await box.mgpu(['up', '--mock', '1', '--detach'])).code).toBe(0);
  expect((await box.mgpu(['why', 'comfyui_gpu0'])).stdout).toMatch(
    /^nothing is known to have gone wrong with comfyui_gpu0\nnow: comfyui_gpu0 is running, ready for /,
  );
  const { instances } = await statusOf(box);
  const pid = instances.find(({ id }) => id === 'comfyui_gpu0')?.pid ?? 0;
  expect(pid).toBeGreaterThan(1);
  process.kill(pid, 'SIGKILL');
  await expect
    .poll(async () => (await ask(box, 'comfyui_gpu0')).incidents[0]?.actions.at(-1)?.what)
    .toMatch(/^ready again after /);
  const { incidents } = await ask(box, 'gpu:0');
  expect(incidents).toMatchObject([
    { cause: { code: 'CORE_PROCESS_EXITED' }, actions: [{ what: 'restarted at once (failure 1 of 5 in 10 min)' }, {}] },
  ]);
  const unknown = await box.mgpu(['why', 'comfyui_gpu7']);
  expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining('"comfyui_gpu7"; it has: comfyui_gpu0, ') });

  expect((await box.mgpu(['down', '--force'])).code).toBe(0);
  expect(await ask(box, 'gpu:0')).toMatchObject({ incidents });
  const { code, stdout } = await box.mgpu(['why', 'comfyui_gpu0']);
  expect(code).toBe(0);
  expect(stdout).toMatch(/• comfyui_gpu0 was killed, and not by us \(signal SIGKILL\)/);
  expect(stdout).toMatch(/→ [\d:.]+ ready again after [\d.]+ s\n/);
  expect(stdout).toMatch(/no daemon is running on this root\n$/);
  expect(stdout.split('\n').filter((line) => line.length > 80 && !line.includes('/'))).toEqual([]);
  expect((await box.mgpu(['why', 'nonsense'])).code).toBe(2);
});

test('an instance that is kept from running is told what keeps it: its GPU', async () => {
  await using box = await openBox((_, dir) => ({ watchdog: { gpu: { kernelLog: join(dir, 'kmsg') } } }));
  const kernelLog = join(box.dir, 'kmsg');
  writeFileSync(kernelLog, '');
  expect((await box.mgpu(['up', '--mock', '2', '--detach'])).code).toBe(0);
  const codes = async (subject: string) => (await ask(box, subject)).incidents.map(({ cause }) => cause.code);
  await expect
    .poll(() => {
      // Its reader needs a moment to begin; of the same line one counts.
      appendFileSync(kernelLog, '[12.5] NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus.\n');
      return codes('comfyui_gpu0');
    })
    .toContain('xid');
  expect(await codes('comfyui_gpu1')).toEqual([]);
});

test('an instance that is kept from running is told what keeps it: the machine', async () => {
  const disk = { warnGiB: 0, cleanGiB: 0, stopGiB: 1_000_000_000, resumeGiB: 1_000_000_000 };
  await using box = await openBox(() => ({ watchdog: { disk } }));
  await box.mgpu(['up', '--mock', '1', '--detach']);
  const codes = async (subject: string) => (await ask(box, subject)).incidents.map(({ cause }) => cause.code);
  await expect.poll(() => codes('worker_gpu0')).toContain('disk-space');
  expect(await codes('comfyui_gpu0')).toEqual([]);
});
