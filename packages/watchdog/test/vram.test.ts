import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mockGpus } from '@mgpu/core';
import { temporaryFolder } from '@mgpu/core/testing';
import { describe, expect, onTestFinished, test } from 'vitest';
import { StartDeadlineError } from '../src/errors.ts';
import { seesHostPids } from '../src/sources/memory-holders.ts';
import { type BenchOptions, bench, hurriedClock, isReady } from './machine.ts';
import { scriptedSmi } from './support.ts';

const engine = 'engine_gpu0';
const neighbour = 'engine_gpu1';
const uuids = ['GPU-aaaa', 'GPU-bbbb'];

/** Two GPUs; nvidia-smi tells of the first what the test says. */
async function onGpus(options: BenchOptions = {}) {
  const { path: programs, [Symbol.dispose]: remove } = temporaryFolder();
  onTestFinished(remove);
  const [usage, apps, asked, isBroken] = ['usage', 'apps', 'asked', 'broken'].map((name) => join(programs, name));
  // The old driver that this stands for knows no other questions.
  const script = `[ -e ${isBroken} ] && { . ${isBroken}; }
case $1 in --query-gpu*) cat ${usage};; --query-compute*) cat ${apps}; echo once >>${asked};; *) exit 1;; esac`;
  const row = (index: number, usedMiB: number) =>
    `${uuids[index]}, 00000000:0${index + 1}:00.0, 24564, ${usedMiB}, 40\n`;
  const holds = (...holders: readonly (readonly [pid: number, memoryMiB: number])[]) => {
    writeFileSync(apps as string, holders.map(([pid, mib]) => `GPU-aaaa, ${pid}, python, ${mib}\n`).join(''));
    writeFileSync(
      usage as string,
      row(
        0,
        holders.reduce((sum, [, mib]) => sum + mib, 1),
      ) + row(1, 1),
    );
  };
  holds();
  scriptedSmi(programs, script);
  const gpus = mockGpus(2).map((each, index) => ({ ...each, mode: 'nvidia' as const, uuid: uuids[index] as string }));
  const machine = await bench({ gpus, programs, ...options, config: { gpu: { queryMs: 10 }, ...options.config } });
  const looks = () => (existsSync(asked as string) ? readFileSync(asked as string, 'utf8').split('\n').length : 0);
  /** Whoever asked before this has its answer by now. */
  const untilLookedAt = async () => {
    const before = looks();
    await expect.poll(looks).toBeGreaterThan(before + 3);
  };
  await untilLookedAt();
  return { ...machine, holds, breaks: (how: string) => writeFileSync(isBroken as string, how), untilLookedAt };
}

function stranger(): ChildProcess & { readonly pid: number } {
  const child = spawn('sleep', ['100000'], { stdio: 'ignore' });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child as ChildProcess & { pid: number };
}

const isHeld = ({ state, reason }: { state: string; reason?: object }) =>
  state === 'blocked' && (reason as { code?: string } | undefined)?.code === 'WATCHDOG_VRAM_HELD';

describe.skipIf(!seesHostPids())('an engine that failed', () => {
  test('waits while a process of somebody else has the memory of its GPU, who is named and left alone', async () => {
    const machine = await onGpus();
    const { until, pidOf, holds, statusOf, orchestrator, incidents, lines } = machine;
    const [pid, other] = [pidOf(engine), pidOf(neighbour)];
    const { pid: foreign, exitCode, signalCode } = stranger();
    holds([foreign, 20_000]);
    process.kill(pid, 'SIGKILL');
    const { reason } = await until(engine, isHeld);
    const told = `is held by pid ${foreign}, sleep 100000 of `;
    expect(reason).toMatchObject({ message: expect.stringContaining(told), hint: expect.stringMatching(/^stop that/) });
    await expect(orchestrator.startInstance(engine)).rejects.toMatchObject({
      code: 'CORE_INSTANCE_HELD',
      message: expect.stringContaining(told),
    });
    expect(statusOf(neighbour)).toMatchObject({ state: 'running', pid: other });
    expect([exitCode, signalCode]).toEqual([null, null]);
    await expect
      .poll(() => incidents(engine))
      .toMatchObject([{ cause: { code: 'CORE_PROCESS_EXITED' } }, { cause: { code: 'vram-held' }, gpu: 0 }]);
    holds();
    await until(engine, isReady);
    await expect
      .poll(async () => (await incidents(engine))[1]?.actions.map(({ what }) => what))
      .toContain('over: vram-held');
    expect(lines.filter((line) => line.startsWith('error memory of its GPU'))).toHaveLength(1);
  });

  test('waits while its dead process still has it', async () => {
    const { until, pidOf, holds } = await onGpus();
    const pid = pidOf(engine);
    holds([pid, 20_000]);
    process.kill(pid, 'SIGKILL');
    const { reason } = await until(engine, isHeld);
    expect(reason?.message).toContain(`pid ${pid}, a process that is gone, 20000 MiB`);
    holds();
    await until(engine, (status) => isReady(status) && status.attempt === 1);
  });

  test('that is stopped by hand and started again is started all the same, and may fail again', async () => {
    const { until, pidOf, holds, orchestrator, untilLookedAt } = await onGpus();
    holds([stranger().pid, 20_000]);
    process.kill(pidOf(engine), 'SIGKILL');
    await until(engine, isHeld);
    await orchestrator.stopInstance(engine);
    await orchestrator.startInstance(engine);
    await untilLookedAt();
    process.kill(pidOf(engine), 'SIGKILL');
    await until(engine, (status) => isReady(status) && status.attempt === 1);
  });

  test('waits for nothing any more when its restart_enabled is removed, and is started when that is made again', async () => {
    const { until, pidOf, holds, layout } = await onGpus();
    const flag = join(layout.instance(engine), 'restart_enabled');
    holds([stranger().pid, 20_000]);
    process.kill(pidOf(engine), 'SIGKILL');
    await until(engine, isHeld);
    rmSync(flag);
    const { reason } = await until(engine, ({ state }) => state === 'failed');
    expect(reason).toMatchObject({ code: 'WATCHDOG_RESTART_DISABLED' });
    writeFileSync(flag, '');
    await until(engine, isReady);
  });

  test('waits no longer than the watchdog is there', async () => {
    const { until, pidOf, holds, orchestrator } = await onGpus();
    holds([stranger().pid, 20_000]);
    process.kill(pidOf(engine), 'SIGKILL');
    await until(engine, isHeld);
    await orchestrator.stopInstance('watchdog');
    await until(engine, isReady);
  });

  test('shares its GPU with whoever was there before', async () => {
    const { until, pidOf, holds, orchestrator, untilLookedAt } = await onGpus();
    await orchestrator.stopInstance(engine);
    holds([stranger().pid, 20_000]);
    await orchestrator.startInstance(engine);
    await untilLookedAt();
    process.kill(pidOf(engine), 'SIGKILL');
    await until(engine, (status) => isReady(status) && status.attempt === 1);
  });

  test('and feeds another, having no memory of its own, is restarted at once', async () => {
    const { until, holds, orchestrator } = await onGpus();
    holds([stranger().pid, 20_000]);
    const feeder = orchestrator.view.supervisor.instances().find(({ id }) => id === 'feeder_gpu0');
    feeder?.fail(new StartDeadlineError({ instance: 'feeder_gpu0', limitMs: 1, evidence: [], lastLines: [] }));
    await until('feeder_gpu0', (status) => isReady(status) && status.attempt === 1);
  });

  test.each([
    ['is switched off', { gpu: { queryMs: 10, toleratedMiB: 'off' } }],
    ['tolerates as much', { gpu: { queryMs: 10, toleratedMiB: 20_000 } }],
  ])('waits for nothing where that %s', async (_, config) => {
    const { until, pidOf, holds } = await onGpus({ config });
    holds([stranger().pid, 20_000]);
    process.kill(pidOf(engine), 'SIGKILL');
    await until(engine, (status) => isReady(status) && status.attempt === 1);
  });
});

test('an engine that failed is started where nvidia-smi fails', async () => {
  const { until, pidOf, holds, breaks, lines } = await onGpus();
  holds([pidOf(engine), 20_000]);
  breaks('echo Segmentation fault; exit 139');
  process.kill(pidOf(engine), 'SIGKILL');
  await until(engine, (status) => isReady(status) && status.attempt === 1);
  expect(lines).toContainEqual(expect.stringMatching(/^warn engine_gpu0 is not kept waiting/));
});

test('an engine that failed is started where nvidia-smi does not answer in time', async () => {
  const clock = hurriedClock(20);
  const { until, pidOf, breaks } = await onGpus({ clock, supervision: { liveness: { intervalMs: 600_000 } } });
  breaks('exec sleep 100000');
  process.kill(pidOf(engine), 'SIGKILL');
  await until(engine, (status) => isReady(status) && status.attempt === 1);
});
