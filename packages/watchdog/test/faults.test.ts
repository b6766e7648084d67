import { appendFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mockGpus } from '@mgpu/core';
import { temporaryFolder } from '@mgpu/core/testing';
import { describe, expect, onTestFinished, test } from 'vitest';
import { bench, hurriedClock, isReady } from './machine.ts';

const engine = 'engine_gpu0';
const neighbour = 'engine_gpu1';

const fault = (code: string, message: string, at = new Date().toISOString()) => ({
  work: [],
  fault: { at, job: 'portrait', error: { code, message, retryable: true } },
});

function folder(): string {
  const { path, [Symbol.dispose]: remove } = temporaryFolder();
  onTestFinished(remove);
  return path;
}

describe('what a worker says of its engine', () => {
  test('a poisoned CUDA context restarts that engine alone, once', async () => {
    const { until, pidOf, said, incidents } = await bench({ gpus: mockGpus(2) });
    const [pid, other] = [pidOf(engine), pidOf(neighbour)];
    said.set(engine, fault('COMFYUI_ENGINE_FAULT', 'CUDA error: an illegal memory access was encountered'));
    const again = await until(engine, (status) => isReady(status) && status.pid !== pid);
    expect(pidOf(neighbour)).toBe(other);
    expect(again.attempt).toBe(1);
    await expect.poll(() => incidents(engine)).toHaveLength(1);
    expect((await incidents(engine))[0]?.cause).toMatchObject({ code: 'WATCHDOG_FAULT' });
  });

  test('what happened before the engine was started is none of its', async () => {
    const said = new Map([
      [engine, fault('COMFYUI_ENGINE_FAULT', 'CUDA error: an illegal memory access was encountered')],
    ]);
    const { until, pidOf, incidents } = await bench({ said });
    const pid = pidOf(engine);
    said.set(engine, fault('COMFYUI_EXECUTION_FAILED', 'no such node'));
    await expect.poll(() => incidents(engine)).toMatchObject([{ cause: { code: 'job-fault' } }]);
    await until(engine, (status) => isReady(status) && status.pid === pid);
  });

  test('is judged once, also where two feed one engine', async () => {
    const { said, incidents } = await bench({ gpus: mockGpus(2) });
    const jobFault = () => ({ ...fault('COMFYUI_EXECUTION_FAILED', 'no such node'), instance: engine });
    said.set(engine, jobFault());
    await expect.poll(() => incidents(engine)).toHaveLength(1);
    said.set(neighbour, jobFault());
    await expect.poll(async () => (await incidents(engine)).length).toBeGreaterThan(1);
    const last = jobFault();
    said.set(engine, { ...last, fault: { ...last.fault, job: 'landscape' } });
    const told = async () => (await incidents(engine)).map(({ cause }) => cause.message);
    await expect.poll(told).toContainEqual(expect.stringContaining('landscape'));
    expect(await told()).toHaveLength(3);
  });

  test('too little memory frees that of the engine; at the third time it is restarted', async () => {
    let relieved = 0;
    const { until, pidOf, said, incidents } = await bench({
      engine: { relieve: () => ++relieved > 0 },
    });
    const pid = pidOf(engine);
    for (const second of [1, 2, 3]) {
      said.set(engine, fault('COMFYUI_OUT_OF_MEMORY', 'CUDA out of memory'));
      if (second < 3) await expect.poll(() => relieved).toBe(second);
    }
    await until(engine, (status) => isReady(status) && status.pid !== pid);
    expect(relieved).toBe(2);
    await expect
      .poll(async () => (await incidents(engine))[0]?.actions)
      .toMatchObject([{ what: 'its memory was freed' }]);
  });
});

describe('a GPU fault in the kernel log', () => {
  async function withKernelLog(root = folder()) {
    const kernelLog = join(folder(), 'kmsg');
    writeFileSync(kernelLog, '');
    const machine = await bench({ gpus: mockGpus(2), root, config: { gpu: { kernelLog } } });
    const says = (line: string) => appendFileSync(kernelLog, `${line}\n`);
    return { ...machine, says };
  }
  const fallen = "[12.5] NVRM: Xid (PCI:0000:01:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.";

  /** The log is followed by a program that needs a moment to begin. */
  async function untilHeld(machine: Awaited<ReturnType<typeof withKernelLog>>) {
    await expect
      .poll(() => {
        machine.says(fallen);
        return machine.statusOf(engine).state;
      })
      .toBe('blocked');
    await machine.until('feeder_gpu0', ({ state }) => state === 'blocked');
  }

  test('puts that GPU out of service, the other goes on; whoever removes its file gives it back', async () => {
    const machine = await withKernelLog();
    const { statusOf, until, pidOf, layout, incidents } = machine;
    const other = pidOf(neighbour);
    const uuid = mockGpus(1)[0]?.uuid ?? '';
    await untilHeld(machine);
    expect(statusOf(engine).reason).toMatchObject({
      code: 'WATCHDOG_GPU_QUARANTINED',
      message: expect.stringContaining('fallen off the bus'),
    });
    expect(statusOf(neighbour)).toMatchObject({ state: 'running', pid: other });
    const flag = join(layout.state, 'quarantine', `${uuid}.json`);
    await expect.poll(() => existsSync(flag)).toBe(true);
    await expect
      .poll(async () => (await incidents(uuid))[0]?.actions[0]?.what)
      .toMatch(/^put out of service, stopped: /);
    expect((await incidents(uuid))[0]).toMatchObject({ gpu: 0, severity: 'critical', evidence: [{ text: fallen }] });
    rmSync(flag);
    await until(engine, isReady);
    await until('feeder_gpu0', isReady);
  });

  test('that its application made restarts that one', async () => {
    const { says, until, pidOf, statusOf, incidents } = await withKernelLog();
    const [pid, other] = [pidOf(engine), pidOf(neighbour)];
    const line = '[12.5] NVRM: Xid (PCI:0000:01:00): 31, Ch 00000008, MMU Fault';
    await expect
      .poll(() => {
        // Its reader needs a moment to begin; of the same line one counts.
        if (statusOf('feeder_gpu0').health === 'ready' && pidOf(engine) === pid) says(line);
        return pidOf(engine);
      })
      .not.toBe(pid);
    await until(engine, isReady);
    expect(pidOf(neighbour)).toBe(other);
    await expect.poll(() => incidents(engine)).toMatchObject([{ cause: { code: 'WATCHDOG_FAULT' } }]);
  });

  test('survives the daemon, and a reboot clears it', async () => {
    const first = await withKernelLog();
    const { root } = first.layout;
    await untilHeld(first);
    await first.orchestrator.stop();
    const second = await bench({ gpus: mockGpus(2), root });
    expect(second.statusOf(engine)).toMatchObject({ state: 'blocked', reason: { code: 'WATCHDOG_GPU_QUARANTINED' } });
    expect(second.statusOf(neighbour).state).toBe('running');
    await second.orchestrator.stop();
    const quarantine = join(root, 'state', 'quarantine');
    const [name = ''] = readdirSync(quarantine);
    const flag = JSON.parse(readFileSync(join(quarantine, name), 'utf8'));
    writeFileSync(join(quarantine, name), JSON.stringify({ ...flag, bootId: 'another' }));
    const third = await bench({ gpus: mockGpus(2), root });
    await third.until(engine, isReady);
    expect(readdirSync(quarantine)).toEqual([]);
  });
});

describe('a full disk', () => {
  const floor = { warnGiB: 0, cleanGiB: 0, stopGiB: 1_000_000_000, resumeGiB: 1_000_000_000 };

  test('stops the intake of jobs, the engines go on', async () => {
    const { until, statusOf, incidents } = await bench({ config: { disk: floor } });
    const { reason } = await until('feeder_gpu0', ({ state }) => state === 'blocked');
    expect(reason).toMatchObject({ code: 'WATCHDOG_INTAKE_STOPPED' });
    expect(statusOf(engine).state).toBe('running');
    await expect.poll(async () => (await incidents('machine'))[0]?.actions[0]?.what).toBe('no new jobs are taken');
  });

  test('is met by removing old outputs, where that is allowed', async () => {
    const root = folder();
    const output = join(root, 'artifacts', 'job', 'old.png');
    await mkdir(join(root, 'artifacts', 'job'), { recursive: true });
    await writeFile(output, 'a picture');
    const cleanUp = { enabled: true, olderThanMs: 1 };
    const { incidents } = await bench({
      root,
      config: { disk: { ...floor, cleanGiB: 1_000_000_000, stopGiB: 0, resumeGiB: 0 }, cleanUp },
    });
    await expect
      .poll(async () => (await incidents('machine'))[0]?.actions[0]?.what)
      .toMatch(/^1 old outputs were removed/);
    await expect(readFile(output)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

test('an engine above its memory is restarted between two jobs, its feeder kept away meanwhile', async () => {
  // A peak may last a minute.
  const { until, pidOf, statusOf, incidents } = await bench({
    clock: hurriedClock(60),
    config: { sweepMs: 3_000 },
    supervision: { memoryMiB: 1, liveness: { intervalMs: 600_000 } },
  });
  const pid = pidOf(engine);
  const held = await until('feeder_gpu0', ({ state }) => state === 'blocked');
  expect(held.reason).toMatchObject({ code: 'WATCHDOG_ENGINE_RENEWED' });
  const again = await until(engine, (status) => isReady(status) && status.pid !== pid);
  expect(again.attempt).toBe(0);
  await until('feeder_gpu0', isReady);
  expect(statusOf(engine).lastExit?.signal ?? 'exit').not.toBe('SIGKILL');
  await expect
    .poll(async () => (await incidents(engine))[0])
    .toMatchObject({
      cause: { code: 'tree-memory' },
      actions: [{ what: 'restarted between two jobs' }],
    });
});
