import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GpuMonitor, type GpuMonitorOptions, systemClock } from '@mgpu/core';
import { fakeClock, temporaryFolder } from '@mgpu/core/testing';
import type { GpuSimulationInput } from '@mgpu/simulator';
import { describe, expect, test } from 'vitest';

import { eventually, scriptedSmi, simulatedSmi } from './support.ts';

/** On the simulated nvidia-smi; time stands still, and no helper is given up on because the box is busy. */
function simulated(folder: string, simulation: GpuSimulationInput = {}, options: Partial<GpuMonitorOptions> = {}) {
  const { program, env, set } = simulatedSmi(folder);
  set(simulation);
  const clock = fakeClock();
  return { clock, set, monitor: new GpuMonitor({ clock, program, env, timeoutMs: 60_000, ...options }) };
}

const isRunning = (path: string) =>
  readdirSync('/proc').some((name) => {
    try {
      return readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(path);
    } catch {
      return false; // no process, or gone meanwhile
    }
  });

describe.concurrent('the health of GPUs', () => {
  const sick: GpuSimulationInput = {
    count: 2,
    gpus: [
      { uuid: 'GPU-aaaa', eccUncorrected: 3, remapPending: true, slowdowns: ['hw_thermal_slowdown'] },
      { uuid: 'GPU-bbbb' },
    ],
    processes: [{ gpu: 1, pid: 4711, memoryMiB: 2_000 }],
  };

  test.each([false, true])('is told by new drivers and old ones (old: %s)', async (oldFields) => {
    using folder = temporaryFolder();
    const sample = await simulated(folder.path, { ...sick, oldFields }).monitor.sample();
    expect(sample).toMatchObject({
      at: 0,
      gpus: [
        {
          uuid: 'GPU-aaaa',
          bus: '0000:01:00',
          memoryTotalMiB: 24_564,
          eccUncorrected: 3,
          remapPending: true,
          remapFailed: false,
          slowdowns: ['heat'],
        },
        { uuid: 'GPU-bbbb', memoryUsedMiB: 2_001, eccUncorrected: undefined, remapPending: undefined, slowdowns: [] },
      ],
      apps: [{ gpu: 'GPU-bbbb', pid: 4711, name: 'python', memoryMiB: 2_000 }],
      hangs: [],
    });
    expect(sample).not.toHaveProperty('problem');
  });

  test('is unknown without nvidia-smi', async () => {
    using folder = temporaryFolder();
    const monitor = new GpuMonitor({ clock: fakeClock(), env: { PATH: folder.path } });
    expect(await monitor.sample()).toBeUndefined();
  });

  test('is asked once for all who ask at once', async () => {
    using folder = temporaryFolder();
    const { monitor } = simulated(folder.path);
    const [one, two] = await Promise.all([monitor.sample(), monitor.sample()]);
    expect(one).toBe(two);
    expect(await monitor.sample()).not.toBe(one);
  });

  test('is good enough for whoever does not want it newer', async () => {
    using folder = temporaryFolder();
    const { monitor, clock } = simulated(folder.path);
    expect(monitor.latest).toBeUndefined();
    const first = await monitor.sample();
    expect(monitor.latest).toBe(first);
    await clock.advance(999);
    expect(await monitor.sample({ maxAgeMs: 1_000 })).toBe(first);
    await clock.advance(1);
    expect(await monitor.sample({ maxAgeMs: 1_000 })).not.toBe(first);
  });

  test('has the use of each GPU and its power, where the driver tells them', async () => {
    using folder = temporaryFolder();
    const { monitor } = simulated(folder.path, { gpus: [{ utilizationPercent: 83 }] });
    expect(await monitor.sample()).toMatchObject({
      gpus: [{ utilizationPercent: 83, powerW: 352, powerLimitW: 450 }],
    });
  });

  test('leaves out fewer GPUs than there were', async () => {
    using folder = temporaryFolder();
    const { monitor, set } = simulated(folder.path, sick);
    await monitor.sample();
    set({ ...sick, faults: { onlyFirst: 1 } });
    expect((await monitor.sample())?.gpus.map(({ uuid }) => uuid)).toEqual(['GPU-aaaa']);
  });

  test('of one that cannot be read is a problem, the others are told', async () => {
    using folder = temporaryFolder();
    const { monitor } = simulated(folder.path, {
      count: 2,
      gpus: [{ unreadable: 'GPU requires reset' }, { uuid: 'GPU-bbbb' }],
    });
    expect(await monitor.sample()).toMatchObject({
      gpus: [{ uuid: 'GPU-bbbb' }],
      problem: { kind: 'gpu-lost', bus: '0000:01:00' },
    });
  });

  test.each<[GpuSimulationInput['faults'], string, string]>([
    [{ gpuLost: 0 }, 'gpu-lost', 'GPU is lost.  Reboot the system to recover this GPU (exit code 15)'],
    [{ nvmlUnknownError: true }, 'container-lost-gpu', 'Failed to initialize NVML: Unknown Error (exit code 255)'],
    [{ driverMismatch: true }, 'driver-mismatch', 'Driver/library version mismatch (exit code 18)'],
    [{ noDevices: 'driver' }, 'no-driver', '(exit code 9)'],
    [{ noDevices: 'none' }, 'no-devices', 'No devices were found (exit code 6)'],
    [{ garbage: true }, 'failed', 'not a table'],
    [{ halfLine: true }, 'failed', ''],
  ])('fails with %j, and is told again afterwards', async (faults, kind, text) => {
    using folder = temporaryFolder();
    const { monitor, set } = simulated(folder.path, faults === undefined ? {} : { faults });
    const sample = await monitor.sample();
    expect(sample).toMatchObject({ gpus: [], apps: undefined, problem: { kind, text: expect.stringContaining(text) } });
    set({});
    expect(await monitor.sample()).toMatchObject({ gpus: [{ bus: '0000:01:00' }] });
  });

  test('is waited for while it is slow', async () => {
    using folder = temporaryFolder();
    const { monitor } = simulated(folder.path, { faults: { slowMs: 200 } });
    expect(await monitor.sample()).toMatchObject({ gpus: [{}] });
  });
});

describe.concurrent('nvidia-smi that hangs', () => {
  test('is killed though it ignores SIGTERM, and asked again after half a minute', async () => {
    using folder = temporaryFolder();
    const calls = join(folder.path, 'calls');
    const program = scriptedSmi(folder.path, `trap '' TERM\necho call >> '${calls}'\nexec tail -f '${calls}'`);
    const clock = fakeClock();
    const monitor = new GpuMonitor({ clock, program, env: process.env, timeoutMs: 1_500 });
    const count = () => readFileSync(calls, 'utf8').split('\n').length - 1;

    expect(await monitor.sample()).toMatchObject({ gpus: [], problem: { kind: 'hung' }, hangs: [{ from: 0 }] });
    await eventually(() => !isRunning(calls), systemClock);
    expect(count()).toBe(1);
    await clock.advance(29_999);
    expect(await monitor.sample()).toMatchObject({ problem: { kind: 'not-asked', text: 'no query for another 1 s' } });
    expect(count()).toBe(1);
    await clock.advance(1);
    await monitor.sample();
    expect(count()).toBe(2);
  });

  // What the kernel would not let die: only a frozen control group of the old kind makes such a process at will.
  const freezer = '/sys/fs/cgroup/freezer';
  const canFreeze = process.getuid?.() === 0 && existsSync(`${freezer}/cgroup.procs`);

  test.skipIf(!canFreeze)('and cannot be killed is not followed by another while it lives', async () => {
    using folder = temporaryFolder();
    const group = `${freezer}/mgpu-test-${randomUUID()}`;
    const calls = join(folder.path, 'calls');
    const freeze = `echo $$ > ${group}/cgroup.procs; echo FROZEN > ${group}/freezer.state`;
    const program = scriptedSmi(folder.path, `echo call >> '${calls}'; ${freeze}; exec sleep 600`);
    const clock = fakeClock();
    const monitor = new GpuMonitor({ clock, program, env: process.env, timeoutMs: 2_000 });
    mkdirSync(group);
    try {
      expect(await monitor.sample()).toMatchObject({ problem: { kind: 'hung' } });
      await clock.advance(3_600_000);
      const text = 'an earlier nvidia-smi hangs in the kernel and cannot be killed';
      expect(await monitor.sample()).toMatchObject({ problem: { kind: 'not-asked', text }, hangs: [{ from: 0 }] });
      expect(readFileSync(calls, 'utf8')).toBe('call\n');
    } finally {
      writeFileSync(`${group}/freezer.state`, 'THAWED');
      await eventually(() => readFileSync(`${group}/cgroup.procs`, 'utf8') === '', systemClock);
      rmdirSync(group);
    }
    await eventuallyAsked(monitor, clock);
    expect(readFileSync(calls, 'utf8')).toBe('call\ncall\n');
  });

  test('and answers again closes the time of its hang', async () => {
    using folder = temporaryFolder();
    const { monitor, clock, set } = simulated(folder.path, { faults: { hang: true } }, { timeoutMs: 1_000 });
    expect(await monitor.sample()).toMatchObject({ hangs: [{ from: 0 }] });
    set({});
    await clock.advance(70_000);
    const { hangs } = (await eventuallyAnswers(monitor, clock)) ?? {};
    expect(hangs?.[0]?.until).toBeGreaterThanOrEqual(70_000);
  });

  test('is left alone when the signal fires', async () => {
    using folder = temporaryFolder();
    const started = join(folder.path, 'started');
    const program = scriptedSmi(folder.path, `echo > '${started}'\nexec tail -f '${started}'`);
    const stop = new AbortController();
    const monitor = new GpuMonitor({ clock: fakeClock(), program, env: process.env, timeoutMs: 60_000 });
    const asking = monitor.sample({ signal: stop.signal });
    await eventually(() => readdirSync(folder.path).includes('started'), systemClock);
    stop.abort(new Error('enough'));
    await expect(asking).rejects.toThrow('enough');
    await eventually(() => !isRunning(started), systemClock);
  });

  test('goes on for those who still wait when one of them has left', async () => {
    using folder = temporaryFolder();
    const { monitor } = simulated(folder.path, { faults: { slowMs: 300 } });
    const leave = new AbortController();
    const [leaver, waiter] = [monitor.sample({ signal: leave.signal }), monitor.sample()];
    leave.abort(new Error('enough'));
    await expect(leaver).rejects.toThrow('enough');
    expect(await waiter).toMatchObject({ gpus: [{}] });
  });

  test('is not asked for a while where that would be dangerous', async () => {
    using folder = temporaryFolder();
    const { monitor, clock } = simulated(folder.path);
    monitor.pause(30_000);
    expect(await monitor.sample()).toMatchObject({ gpus: [], problem: { kind: 'not-asked' }, hangs: [] });
    await clock.advance(30_000);
    expect(await monitor.sample()).toMatchObject({ gpus: [{}] });
  });
});

/** That it is gone is told a little after it is gone. */
async function eventuallyAsked(monitor: GpuMonitor, clock: ReturnType<typeof fakeClock>) {
  while ((await monitor.sample())?.problem?.kind === 'not-asked') await clock.advance(1_000);
}

/** On a busy box even an answer may come too late for a short deadline. */
async function eventuallyAnswers(monitor: GpuMonitor, clock: ReturnType<typeof fakeClock>) {
  for (;;) {
    const sample = await monitor.sample();
    if (sample?.gpus.length) return sample;
    await clock.advance(30_000);
  }
}
