import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { coreErrors, systemClock } from '@mgpu/core';
import { leasePorts } from '@mgpu/core/testing';
import { describe, expect, test } from 'vitest';
import {
  eventually,
  failureOf,
  fixture,
  hurriedClock,
  isAlive,
  killAtEnd,
  program,
  readPid,
  readRecord,
  temporaryFolder,
  whenUp,
} from '../support.ts';

describe('stop', () => {
  test('asks with SIGTERM and waits for the process to end by itself', async () => {
    const { service, context } = program({ spec: fixture('obeys-slowly.mjs'), probes: whenUp });
    await service.start();
    const { pid } = service;
    await service.stop();
    expect(readFileSync(service.logFile, 'utf8')).toBe(`up ${pid}\ngot SIGTERM\n`);
    expect(service.status).toMatchObject({ state: 'stopped', lastExit: { code: 0, signal: null } });
    expect(service.pid).toBeUndefined();
    expect(readRecord(context)).toBeUndefined();
  });

  test('asks with the signal the command names', async () => {
    const spec = { ...fixture('obeys-slowly.mjs'), stopSignal: 'SIGQUIT' } as const;
    const { service } = program({ spec, probes: whenUp });
    await service.start();
    await service.stop();
    expect(readFileSync(service.logFile, 'utf8')).toContain('got SIGQUIT\n');
  });

  test('kills a process that does not listen', async () => {
    const { service } = program(
      { spec: { ...fixture('ignores-sigterm.mjs'), graceMs: 1_000 }, probes: whenUp },
      { clock: hurriedClock(10) },
    );
    await service.start();
    const { pid = 0 } = service;
    await service.stop();
    expect(isAlive(pid)).toBe(false);
    expect(service.status.lastExit).toMatchObject({ code: null, signal: 'SIGKILL' });
  });

  test('wakes a process that was put to sleep', async () => {
    const { service } = program({ spec: fixture('obeys-slowly.mjs'), probes: whenUp });
    await service.start();
    process.kill(service.pid ?? 0, 'SIGSTOP');
    await service.stop();
    expect(service.status.lastExit).toMatchObject({ code: 0 });
  });

  test('ends a child in the same group that ignores what its leader obeys', async () => {
    const pidFile = join(temporaryFolder(), 'pid');
    const { service } = program(
      { spec: fixture('forks-a-child.mjs', pidFile), probes: whenUp },
      { clock: hurriedClock(10) },
    );
    await service.start();
    const child = killAtEnd(await readPid(pidFile));
    await service.stop();
    expect(isAlive(child)).toBe(false);
  });

  test('ends a grandchild that changed session twice', async () => {
    const pidFile = join(temporaryFolder(), 'pid');
    const { service } = program(
      { spec: fixture('hides-a-grandchild.mjs', pidFile, 'keep'), probes: whenUp },
      { clock: hurriedClock(10) },
    );
    await service.start();
    const grandchild = killAtEnd(await readPid(pidFile));
    await service.stop();
    expect(isAlive(grandchild)).toBe(false);
  });

  test('names the process that got out of reach with a port of its own', async () => {
    using ports = await leasePorts(1);
    const pidFile = join(temporaryFolder(), 'pid');
    const spec = fixture('hides-a-grandchild.mjs', pidFile, 'drop', ports.first);
    const { service } = program(
      { spec: { ...spec, ports: [{ port: ports.first }] }, probes: whenUp },
      { clock: hurriedClock(10) },
    );
    await service.start();
    const escaped = killAtEnd(await readPid(pidFile));
    const error = await failureOf(service.stop());
    expect(error).toMatchObject({
      code: 'CORE_STOP_INCOMPLETE',
      message: expect.stringContaining(`port ${ports.first}`),
    });
    expect(error.message).toContain(`process ${escaped}`);
    expect(service.status.state).toBe('stopped');
  });

  test('kills at once when forced', async () => {
    const { service } = program({ spec: { ...fixture('ignores-sigterm.mjs'), graceMs: 60_000 }, probes: whenUp });
    await service.start();
    const { pid = 0 } = service;
    await service.stop({ force: true });
    expect(isAlive(pid)).toBe(false);
  });

  test('is shortened by a second one that forces', async () => {
    const { service } = program({ spec: { ...fixture('ignores-sigterm.mjs'), graceMs: 60_000 }, probes: whenUp });
    await service.start();
    const patient = service.stop();
    await eventually(() => readFileSync(service.logFile, 'utf8').includes('no\n'), 'the first signal');
    await service.stop({ force: true });
    await patient;
    expect(service.status.state).toBe('stopped');
  });

  test('during the start cancels it and leaves nothing', async () => {
    const { service, context } = program({ spec: fixture('never-up.mjs'), probes: whenUp });
    const start = failureOf(service.start());
    const pid = await eventually(() => service.pid);
    await service.stop();
    expect(await start).toMatchObject({ code: 'CORE_START_ABORTED' });
    expect(isAlive(pid)).toBe(false);
    expect(readRecord(context)).toBeUndefined();
  });

  test('at any moment of the start leaves no process and no record', async () => {
    for (let delay = 0; delay < 12; delay++) {
      const { service, context } = program({ spec: fixture('stays.mjs'), probes: whenUp });
      const start = service.start().catch(({ code }) => code);
      for (let n = 0; n < delay ** 2; n++) await new Promise((resolve) => setImmediate(resolve));
      const { pid } = service;
      await service.stop();
      expect(['CORE_START_ABORTED', undefined]).toContain(await start);
      expect(service.status.state).toBe('stopped');
      expect(readRecord(context)).toBeUndefined();
      if (pid !== undefined) expect(isAlive(pid)).toBe(false);
    }
  });

  test('is not taken for done as long as a process is still there, and done once it is gone', async () => {
    const clock = { ...systemClock };
    const { service, context } = program({ spec: fixture('stays.mjs'), probes: whenUp }, { clock });
    await service.start();
    const { pid = 0 } = service;
    // No process can be made to survive SIGKILL at will: here the clock gives up in its place.
    clock.elapsed = () => {
      throw new coreErrors.UnkillableError({ instance: 'program', pids: [pid] });
    };
    expect(await failureOf(service.stop())).toMatchObject({
      code: 'CORE_PROCESS_UNKILLABLE',
      message: `program: processes ${pid} are still there after SIGKILL`,
    });
    expect(service.status).toMatchObject({ state: 'unkillable', pid, reason: { code: 'CORE_PROCESS_UNKILLABLE' } });
    expect(readRecord(context)).toMatchObject({ pid });

    clock.elapsed = systemClock.elapsed;
    await Promise.all([service.stop(), service.stop()]);
    expect(isAlive(pid)).toBe(false);
    expect(service.status).toMatchObject({ state: 'stopped' });
    expect(service.status.reason).toBeUndefined();
    expect(readRecord(context)).toBeUndefined();
  });

  test('is tried again by a start over what could not be killed', async () => {
    const clock = { ...systemClock };
    const { service } = program({ spec: fixture('stays.mjs'), probes: whenUp }, { clock });
    await service.start();
    const { pid = 0 } = service;
    clock.elapsed = () => {
      throw new coreErrors.UnkillableError({ instance: 'program', pids: [pid] });
    };
    await failureOf(service.stop());
    expect(await failureOf(service.start())).toMatchObject({ code: 'CORE_PROCESS_UNKILLABLE' });
    expect(service.status.state).toBe('unkillable');
    clock.elapsed = systemClock.elapsed;
    await service.start();
    expect(isAlive(pid)).toBe(false);
    expect(service.status.state).toBe('running');
  });
});
