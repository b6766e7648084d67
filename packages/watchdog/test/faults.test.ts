import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mockGpus } from '@mgpu/core';
import { temporaryFolder } from '@mgpu/core/testing';
import { describe, expect, onTestFinished, test } from 'vitest';
import { seesHostPids } from '../src/sources/memory-holders.ts';
import { type BenchOptions, bench, hurriedClock, isReady } from './machine.ts';
import { scriptedSmi } from './support.ts';

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
  async function withKernelLog(options: BenchOptions = {}) {
    const kernelLog = join(folder(), 'kmsg');
    writeFileSync(kernelLog, '');
    const machine = await bench({ gpus: mockGpus(2), root: folder(), config: { gpu: { kernelLog } }, ...options });
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

  test('that lets its jobs end stops nothing any more when its file is removed meanwhile', async () => {
    const ending = Promise.withResolvers<void>();
    const machine = await withKernelLog({ feederEnds: () => ending.promise });
    const { statusOf, until, pidOf, layout, incidents, says } = machine;
    const pid = pidOf(engine);
    const uuid = mockGpus(1)[0]?.uuid ?? '';
    const flag = join(layout.state, 'quarantine', `${uuid}.json`);
    await expect
      .poll(() => {
        says('[12.5] NVRM: Xid (PCI:0000:01:00): 46, GPU stopped processing');
        return existsSync(flag);
      })
      .toBe(true);
    expect(statusOf('feeder_gpu0').state).toBe('stopping');
    rmSync(flag);
    await expect
      .poll(async () => (await incidents(uuid)).flatMap(({ actions }) => actions.map(({ what }) => what)))
      .toContain('back in service');
    ending.resolve();
    await until('feeder_gpu0', isReady);
    expect(statusOf(engine)).toMatchObject({ state: 'running', pid });
  });

  test('is over for a watchdog that comes to office after its file was removed', async () => {
    const machine = await withKernelLog();
    const { orchestrator, layout, until } = machine;
    await untilHeld(machine);
    await orchestrator.stopInstance('watchdog');
    rmSync(join(layout.state, 'quarantine'), { recursive: true });
    await orchestrator.startInstance('watchdog');
    await until(engine, isReady);
    await until('feeder_gpu0', isReady);
  });

  test('stands while its file cannot be looked for', async () => {
    const machine = await withKernelLog();
    const { layout, lines, statusOf, until } = machine;
    await untilHeld(machine);
    const flags = join(layout.state, 'quarantine');
    await expect.poll(() => existsSync(flags) && readdirSync(flags)).toHaveLength(1);
    renameSync(flags, `${flags}.away`);
    writeFileSync(flags, 'no folder');
    const looks = () => lines.filter((line) => line.includes('which GPUs are out of service cannot be read'));
    await expect.poll(() => looks().length).toBeGreaterThan(1);
    expect(statusOf(engine)).toMatchObject({ state: 'blocked', reason: { code: 'WATCHDOG_GPU_QUARANTINED' } });
    rmSync(flags);
    await until(engine, isReady);
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

test('a file made by hand puts its GPU out of service, at once', async () => {
  const { layout, until, pidOf, statusOf } = await bench({ gpus: mockGpus(2), config: { sweepMs: 600_000 } });
  const other = pidOf(neighbour);
  const flag = join(layout.state, 'quarantine', `${mockGpus(1)[0]?.uuid}.json`);
  writeFileSync(flag, '');
  const { reason } = await until(engine, ({ state }) => state === 'blocked');
  expect(reason).toMatchObject({ code: 'WATCHDOG_GPU_QUARANTINED' });
  await until('feeder_gpu0', ({ state }) => state === 'blocked');
  expect(statusOf(neighbour)).toMatchObject({ state: 'running', pid: other });
  rmSync(flag);
  await until(engine, isReady);
});

test('a driver that cannot be used stops the intake of jobs until nvidia-smi says otherwise', async () => {
  const programs = folder();
  const [asked, answer] = [join(programs, 'asked'), join(programs, 'answer')];
  // The old driver that this stands for knows no other question.
  scriptedSmi(
    programs,
    `echo once >>${asked}; case $1 in --query-gpu*) cat ${answer} && grep -q ^GPU- ${answer};; *) exit 1;; esac`,
  );
  writeFileSync(answer, 'Failed to initialize NVML: Driver/library version mismatch\n');
  const gpus = mockGpus(1).map((each) => ({ ...each, mode: 'nvidia' as const, uuid: 'GPU-aaaa' }));
  const { until, statusOf } = await bench({ gpus, programs, config: { gpu: { queryMs: 10 } } });
  const { reason } = await until('feeder_gpu0', ({ state }) => state === 'blocked');
  expect(reason).toMatchObject({ code: 'WATCHDOG_INTAKE_STOPPED' });
  writeFileSync(answer, 'Segmentation fault\n');
  rmSync(asked);
  const questions = () => existsSync(asked) && readFileSync(asked, 'utf8').split('\n').length;
  await expect.poll(questions).toBeGreaterThan(8);
  expect(statusOf('feeder_gpu0')).toMatchObject({ state: 'blocked', reason: { code: 'WATCHDOG_INTAKE_STOPPED' } });
  writeFileSync(answer, 'GPU-aaaa, 00000000:01:00.0, 24564, 1, 40\n');
  await until('feeder_gpu0', isReady);
});

test('one thing that cannot be looked at leaves the watch over all others', async () => {
  let isBroken = true;
  const said = new Map();
  said.get = (id) => {
    if (isBroken) throw new Error('what is in its hand cannot be told');
    return Map.prototype.get.call(said, id);
  };
  const kernelLog = join(folder(), 'kmsg');
  writeFileSync(kernelLog, '');
  const disk = { warnGiB: 1_000_000_000, cleanGiB: 0, stopGiB: 0, resumeGiB: 0 };
  const { lines, incidents, until, statusOf } = await bench({ said, config: { disk, gpu: { kernelLog } } });
  await expect.poll(() => incidents('machine')).toMatchObject([{ cause: { code: 'disk-space' } }]);
  const says = (xid: string) => appendFileSync(kernelLog, `[12.5] NVRM: Xid (PCI:0000:01:00): ${xid}\n`);
  await expect
    .poll(() => {
      says('31, Ch 00000008, MMU Fault');
      return lines.filter((line) => line.includes("the kernel's log"));
    })
    .not.toEqual([]);
  isBroken = false;
  await expect
    .poll(() => {
      says('79, GPU has fallen off the bus.');
      return statusOf(engine).state;
    })
    .toBe('blocked');
  await until('feeder_gpu0', ({ state }) => state === 'blocked');
});

test.skipIf(!seesHostPids())(
  "the kernel's kill for want of memory explains the end of that process, for a minute",
  async () => {
    const kernelLog = join(folder(), 'kmsg');
    writeFileSync(kernelLog, '');
    const clock = hurriedClock(20);
    const liveness = { intervalMs: 600_000 };
    const { pidOf, until, incidents } = await bench({
      clock,
      supervision: { liveness },
      config: { gpu: { kernelLog } },
    });
    const oom = (pid: number) => `Out of memory: Killed process ${pid} (node) total-vm:1kB`;
    const uuid = mockGpus(1)[0]?.uuid ?? '';
    /** What is read after it proves that it was read. */
    const tells = async (pid: number, marker: number) => {
      await expect
        .poll(async () => {
          appendFileSync(kernelLog, `${oom(pid)}\nNVRM: Xid (PCI:0000:01:00): ${marker}, unlisted\n`);
          return (await incidents('0000:01:00'))
            .concat(await incidents(uuid))
            .map(({ cause }) => cause.message)
            .join();
        })
        .toContain(`Xid ${marker}`);
    };
    const evidence = async (index: number) => (await incidents(engine))[index]?.evidence.map(({ text }) => text);
    const killed = pidOf(engine);
    await tells(killed, 998);
    process.kill(killed, 'SIGKILL');
    await expect.poll(() => evidence(0)).toContain(oom(killed));
    const next = (await until(engine, (status) => isReady(status) && status.pid !== killed)).pid ?? 0;
    await tells(next, 999);
    const then = clock.elapsed();
    await expect.poll(() => clock.elapsed() - then).toBeGreaterThan(60_000);
    process.kill(next, 'SIGKILL');
    await expect.poll(() => evidence(1)).not.toBeUndefined();
    expect(await evidence(1)).not.toContain(oom(next));
  },
);

describe('a full disk', () => {
  const floor = { warnGiB: 0, cleanGiB: 0, stopGiB: 1_000_000_000, resumeGiB: 1_000_000_000 };

  test('stops the intake of jobs, the engines go on', async () => {
    const { until, statusOf, incidents } = await bench({ config: { disk: floor } });
    const { reason } = await until('feeder_gpu0', ({ state }) => state === 'blocked');
    expect(reason).toMatchObject({ code: 'WATCHDOG_INTAKE_STOPPED' });
    expect(statusOf(engine).state).toBe('running');
    await expect.poll(async () => (await incidents('machine'))[0]?.actions[0]?.what).toBe('no new jobs are taken');
  });

  test('is full until it can be looked at again', async () => {
    const root = folder();
    const { until, statusOf, lines } = await bench({ root, config: { disk: floor } });
    await until('feeder_gpu0', ({ state }) => state === 'blocked');
    renameSync(root, `${root}.away`);
    symlinkSync(`${root}.nowhere`, root);
    const looks = () => lines.filter((line) => line.includes('the disk of the root could not be looked at'));
    await expect.poll(() => looks().length).toBeGreaterThan(1);
    const { state, reason } = statusOf('feeder_gpu0');
    rmSync(root);
    renameSync(`${root}.away`, root);
    expect({ state, reason }).toMatchObject({ state: 'blocked', reason: { code: 'WATCHDOG_INTAKE_STOPPED' } });
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
  const at = new Date().toISOString();
  const said = new Map([[engine, { work: [{ job: 'portrait', since: at, progressAt: at }] }]]);
  const { until, pidOf, statusOf, incidents } = await bench({
    said,
    clock: hurriedClock(60),
    config: { sweepMs: 3_000 },
    supervision: { memoryMiB: 1, liveness: { intervalMs: 600_000 } },
  });
  const pid = pidOf(engine);
  const feeder = statusOf('feeder_gpu0');
  await expect.poll(() => incidents(engine)).toMatchObject([{ cause: { code: 'tree-memory' } }]);
  expect([statusOf(engine).pid, statusOf('feeder_gpu0')]).toEqual([pid, feeder]);
  said.delete(engine);
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
