import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { MachineStatus } from '@mgpu/control';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { type Box, isAlive, openBox, statusOf } from './support.ts';

const pidsOf = ({ instances }: MachineStatus) =>
  Object.fromEntries(instances.flatMap(({ id, pid }) => (pid === undefined ? [] : [[id, pid]])));

async function killDaemon(box: Box): Promise<MachineStatus> {
  const status = await statusOf(box);
  process.kill(status.daemon.pid, 'SIGKILL');
  await expect.poll(() => isAlive(status.daemon.pid)).toBe(false);
  return status;
}

test('everything goes on when the daemon is killed, and is the next one’s', async () => {
  await using box = await openBox();
  await box.mgpu(['up', '--mock', '2', '--detach']);
  const before = await killDaemon(box);
  expect(Object.values(pidsOf(before)).every(isAlive)).toBe(true);
  const up = await box.mgpu(['up', '--mock', '2', '--detach']);
  expect(up).toMatchObject({ code: 0, stderr: '' });
  const after = await statusOf(box);
  expect(pidsOf(after)).toEqual(pidsOf(before));
  for (const instance of after.instances) {
    if (instance.state === 'completed') continue; // it has done what there was to do
    const adopted = instance.pid === undefined ? {} : { adopted: true };
    expect(instance).toMatchObject({ state: 'running', health: 'ready', attempt: 0, ...adopted });
    expect(instance.outdated).toBeUndefined();
  }
  // Asked again, it changes nothing.
  expect((await box.mgpu(['up', '--mock', '2', '--detach'])).code).toBe(0);
  expect(pidsOf(await statusOf(box))).toEqual(pidsOf(before));
  expect((await box.mgpu(['down'])).code).toBe(0);
  expect(Object.values(pidsOf(before)).some(isAlive)).toBe(false);
  // The daemon answers before it closes its socket.
  await expect.poll(() => readdirSync(join(box.root, 'run'))).toEqual([]);
});

test('what is no longer configured is ended by the next daemon', async () => {
  await using box = await openBox();
  await box.mgpu(['up', '--mock', '2', '--detach']);
  const pids = pidsOf(await killDaemon(box));
  await box.mgpu(['up', '--mock', '1', '--detach']);
  expect(pidsOf(await statusOf(box))).toMatchObject({ comfyui_gpu0: pids.comfyui_gpu0, redis: pids.redis });
  expect(isAlive(pids.comfyui_gpu1)).toBe(false);
  expect(isAlive(pids.worker_gpu1)).toBe(false);
  expect(existsSync(join(box.root, 'run', 'worker_gpu1.json'))).toBe(false);
});

test('a worker that other settings have made outdated is replaced, an engine is only marked', async () => {
  await using box = await openBox();
  await box.mgpu(['up', '--mock', '1', '--detach']);
  const pids = pidsOf(await killDaemon(box));
  const config = parse(readFileSync(join(box.dir, 'mgpu.config.yaml'), 'utf8'));
  config.services.worker = { ...config.services.worker, concurrency: 2 };
  config.services.comfyui = { ...config.services.comfyui, args: ['--disable-metadata'] };
  await box.writeConfig(config);
  expect((await box.mgpu(['up', '--mock', '1', '--detach'])).code).toBe(0);
  const instanceOf = async (id: string) => (await statusOf(box)).instances.find((each) => each.id === id);
  expect(await instanceOf('comfyui_gpu0')).toMatchObject({ pid: pids.comfyui_gpu0, outdated: true });
  await expect.poll(() => isAlive(pids.worker_gpu0), { timeout: 10_000 }).toBe(false);
  await expect.poll(async () => (await instanceOf('worker_gpu0'))?.state, { timeout: 10_000 }).toBe('running');
  expect((await instanceOf('worker_gpu0'))?.outdated).toBeUndefined();
  expect((await box.mgpu(['restart', '--outdated'])).stdout).toMatch(/^✔ comfyui_gpu0 +restarted, .*\n$/);
  expect((await instanceOf('comfyui_gpu0'))?.outdated).toBeUndefined();
});

test('down ends what a daemon that was killed has left', async () => {
  await using box = await openBox();
  await box.mgpu(['up', '--mock', '1', '--detach']);
  const pids = pidsOf(await killDaemon(box));
  const down = await box.mgpu(['down']);
  expect(down.code).toBe(0);
  expect(down.stdout).toMatch(/no daemon was running; ended what one had left: .*comfyui_gpu0/);
  expect(Object.values(pids).some(isAlive)).toBe(false);
  expect(readdirSync(join(box.root, 'run'))).toEqual([]);
  expect((await box.mgpu(['down'])).code).toBe(3);
});

test('with --on-term keep SIGTERM ends the daemon alone', async () => {
  await using box = await openBox();
  await box.mgpu(['up', '--mock', '1', '--detach', '--on-term', 'keep']);
  const before = await statusOf(box);
  process.kill(before.daemon.pid, 'SIGTERM');
  await expect.poll(() => isAlive(before.daemon.pid)).toBe(false);
  expect(Object.values(pidsOf(before)).every(isAlive)).toBe(true);
  expect((await box.mgpu(['status'])).code).toBe(3);
  await box.mgpu(['up', '--mock', '1', '--detach']);
  expect(pidsOf(await statusOf(box))).toEqual(pidsOf(before));
});

test('a daemon whose root vanishes says so and leaves nothing running', { timeout: 60_000 }, async () => {
  await using box = await openBox();
  const up = box.start(['up', '--mock', '1']);
  await up.printed(/comfyui_gpu0 +ready/);
  const pids = pidsOf(await statusOf(box));
  await rename(box.root, `${box.root}.gone`);
  const { code, stderr } = await up.ended;
  expect(code).toBe(1);
  expect(stderr).toMatch(/the root .* was removed or replaced under the running machine/);
  expect(Object.values(pids).some(isAlive)).toBe(false);
});

test('with --keep-for everything is stopped when no other daemon follows in time', async () => {
  await using box = await openBox();
  const start = async (seconds: string) => {
    const up = box.start(['up', '--mock', '1', '--on-term', 'keep', '--keep-for', seconds]);
    await up.printed(/worker_gpu0 +ready/);
    return { up, pids: pidsOf(await statusOf(box)) };
  };
  const first = await start('60');
  first.up.kill('SIGTERM');
  expect(await first.up.ended).toMatchObject({ code: 0, stdout: expect.stringContaining('left running') });
  const second = await start('1');
  expect(second.pids).toEqual(first.pids);
  const told = () => readFileSync(join(box.root, 'logs', 'daemon.out'), 'utf8');
  await expect.poll(told).toContain('nothing to do: a daemon is running');
  second.up.kill('SIGTERM');
  await second.up.ended;
  await expect.poll(told).toMatch(/ended what one had left: .*comfyui_gpu0/);
  expect(Object.values(second.pids).some(isAlive)).toBe(false);
  await expect.poll(() => readdirSync(join(box.root, 'run'))).toEqual([]);
  const nothing = await box.mgpu(['down', '--if-abandoned', '1', '--json']);
  expect(nothing).toMatchObject({ code: 0, stderr: '' });
  expect(nothing.json()).toMatchObject({ kind: 'Down', data: { stopped: [] } });
  expect((await box.mgpu(['up', '--detach', '--keep-for', '1'])).code).toBe(2);
  expect((await box.mgpu(['up', '--keep-for', '1'])).code).toBe(2);
});

test('SIGUSR2 ends the daemon alone, whatever SIGTERM means; down ends it with the code it is to have', async () => {
  await using box = await openBox();
  const left = box.start(['up', '--mock', '1']);
  await left.printed(/worker_gpu0 +ready/);
  const pids = pidsOf(await statusOf(box));
  left.kill('SIGUSR2');
  expect(await left.ended).toMatchObject({ code: 0, stdout: expect.stringContaining('left running') });
  expect(Object.values(pids).every(isAlive)).toBe(true);
  const next = box.start(['up', '--mock', '1', '--stopped-code', '64']);
  await next.printed(/worker_gpu0 +ready/);
  expect(pidsOf(await statusOf(box))).toEqual(pids);
  expect((await box.mgpu(['down'])).code).toBe(0);
  expect((await next.ended).code).toBe(64);
  expect(Object.values(pids).some(isAlive)).toBe(false);
});
