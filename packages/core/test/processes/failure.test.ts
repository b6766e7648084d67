import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { httpProbe, MgpuError, tcpProbe } from '@mgpu/core';
import { leasePorts, record } from '@mgpu/core/testing';
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

describe('a process that cannot be started', () => {
  test('because there is no such program is a permanent failure', async () => {
    const { service, context } = program({ spec: { file: '/nowhere/to/be/found' } });
    const error = await failureOf(service.start());
    expect(error).toMatchObject({
      code: 'CORE_PROCESS_SPAWN',
      details: { instance: 'program', file: '/nowhere/to/be/found', permanent: true },
    });
    expect(error.message).toContain('ENOENT');
    expect(service.status.state).toBe('failed');
    expect(readRecord(context)).toBeUndefined();
  });

  test('because it may not be executed is a permanent failure', async () => {
    const file = join(temporaryFolder(), 'program');
    writeFileSync(file, '#!/bin/sh\n');
    chmodSync(file, 0o600);
    const { service } = program({ spec: { file } });
    await expect(service.start()).rejects.toMatchObject({
      code: 'CORE_PROCESS_SPAWN',
      details: { permanent: true, problem: expect.stringContaining('EACCES') },
    });
  });

  test('because its arguments are too long is a permanent failure', async () => {
    const { service } = program({ spec: { file: 'true', args: ['x'.repeat(200_000)] } });
    await expect(service.start()).rejects.toMatchObject({ code: 'CORE_PROCESS_SPAWN', details: { permanent: true } });
  });

  test('because its working directory is missing says so', async () => {
    const { service } = program({ spec: { ...fixture('stays.mjs'), cwd: '/nowhere/to/be/found' } });
    const error = await failureOf(service.start());
    expect(error.code).toBe('CORE_PROCESS_SPAWN');
    expect(error.message).toContain('/nowhere/to/be/found');
  });

  test('can be started once the reason is gone', async () => {
    const file = join(temporaryFolder(), 'program');
    const { service } = program({ spec: { file } });
    await failureOf(service.start());
    writeFileSync(file, '#!/bin/sh\nexec sleep 60\n', { mode: 0o700 });
    await service.start();
    expect(service.status).toMatchObject({ state: 'running' });
    expect(service.status.reason).toBeUndefined();
  });
});

describe('a process that ends by itself', () => {
  test('while starting is reported with exit code and last words', async () => {
    const { service } = program({ spec: fixture('exits.mjs', 3, 'one', 'two', 'CUDA out of memory'), probes: whenUp });
    const error = await failureOf(service.start());
    expect(error).toMatchObject({
      code: 'CORE_PROCESS_EXITED',
      retryable: true,
      details: { exitCode: 3, signal: null, lastLines: ['one', 'two', 'CUDA out of memory'], log: service.logFile },
      hint: `its log is ${service.logFile}`,
    });
    expect(error.message).toBe(
      'program: the process ended with exit code 3; its last words: one | two | CUDA out of memory',
    );
    expect(error).toBeInstanceOf(MgpuError);
  });

  test('without a word is reported as that', async () => {
    const { service } = program({ spec: fixture('exits.mjs', 0), probes: whenUp });
    expect((await failureOf(service.start())).message).toBe(
      'program: the process ended with exit code 0 without a word',
    );
  });

  test('does not repeat the words of a former run', async () => {
    const root = temporaryFolder();
    const { service: first } = program({ spec: fixture('exits.mjs', 1, 'old'), probes: whenUp }, { root });
    await failureOf(first.start());
    const { service: second } = program({ spec: fixture('exits.mjs', 1, 'new'), probes: whenUp }, { root });
    expect((await failureOf(second.start())).details.lastLines).toEqual(['new']);
  });

  test('ends the wait for readiness at once', async () => {
    using ports = await leasePorts(1);
    const probe = httpProbe(new URL(`http://127.0.0.1:${ports.first}/`));
    const { service } = program({
      spec: fixture('exits.mjs', 1),
      probes: { startup: { probe, deadlineMs: 600_000, intervalMs: 600_000 } },
    });
    await expect(service.start()).rejects.toMatchObject({ code: 'CORE_PROCESS_EXITED' });
  });

  test('while running fails the service with the signal that ended it', async () => {
    const { service } = program({ spec: fixture('stays.mjs'), probes: whenUp });
    await service.start();
    using states = record<{ state: string; reason?: { code?: string } }>(service as never, 'status');
    process.kill(service.pid ?? 0, 'SIGKILL');
    const failed = await states.until(({ state }) => state === 'failed');
    expect(failed).toMatchObject({ reason: { code: 'CORE_PROCESS_EXITED', details: { signal: 'SIGKILL' } } });
    expect(service.status.lastExit).toMatchObject({ code: null, signal: 'SIGKILL' });
  });

  test('is noticed within milliseconds', async () => {
    const { service } = program({ spec: fixture('stays.mjs'), probes: whenUp });
    const delays: number[] = [];
    for (let n = 0; n < 5; n++) {
      await service.start();
      const { pid = 0 } = service;
      let noticed = 0;
      const off = service.on('exit', () => {
        noticed = performance.now();
      });
      const killed = performance.now();
      process.kill(pid, 'SIGKILL');
      await eventually(() => service.status.state === 'failed');
      off();
      delays.push(noticed - killed);
    }
    expect(Math.min(...delays)).toBeLessThan(10);
  });

  test('tells its exit before its end', async () => {
    const { service } = program({ spec: fixture('stays.mjs'), probes: whenUp });
    await service.start();
    const { run } = service.status;
    const told: string[] = [];
    service.on('exit', (exit) => told.push(`exit ${exit.signal} ${exit.run === run} ${exit.uptimeMs > 0}`));
    service.on('status', ({ state }) => told.push(state));
    process.kill(service.pid ?? 0, 'SIGKILL');
    await eventually(() => told.includes('failed'));
    expect(told).toEqual(['exit SIGKILL true true', 'cleaning', 'failed']);
  });

  test('leaves no grandchild behind, wherever that went', async () => {
    using ports = await leasePorts(1);
    const pidFile = join(temporaryFolder(), 'pid');
    const { service } = program(
      {
        spec: {
          ...fixture('hides-a-grandchild.mjs', pidFile, 'keep', ports.first, 'die'),
          ports: [{ port: ports.first }],
        },
        probes: { startup: { probe: tcpProbe({ path: '/nowhere' }), deadlineMs: 15_000 } },
      },
      { clock: hurriedClock(10) },
    );
    const error = await failureOf(service.start());
    expect(error).toMatchObject({ code: 'CORE_PROCESS_EXITED', details: { exitCode: 7 } });
    expect(isAlive(killAtEnd(await readPid(pidFile)))).toBe(false);
  });

  test('can be started again', async () => {
    const { service } = program({ spec: fixture('stays.mjs'), probes: whenUp });
    await service.start();
    const { run } = service.status;
    process.kill(service.pid ?? 0, 'SIGKILL');
    await eventually(() => service.status.state === 'failed');
    await service.start();
    expect(service.status).toMatchObject({ state: 'running', health: 'ready' });
    expect(service.status.run).not.toBe(run);
  });

  test('is stopped, not failed, once somebody stops it', async () => {
    const { service } = program({ spec: fixture('exits.mjs', 1), probes: whenUp });
    await failureOf(service.start());
    await service.stop();
    expect(service.status.state).toBe('stopped');
  });
});

describe('a process that never becomes ready', () => {
  test('is ended at the deadline, with the last answer of the probe', async () => {
    using ports = await leasePorts(1);
    const probe = httpProbe(new URL(`http://127.0.0.1:${ports.first}/`));
    const { service } = program({
      spec: fixture('stays.mjs'),
      probes: { startup: { probe, deadlineMs: 300, intervalMs: 20 } },
    });
    const start = failureOf(service.start());
    const pid = await eventually(() => service.pid);
    expect(await start).toMatchObject({
      code: 'CORE_START_TIMEOUT',
      retryable: true,
      message: `program: not ready after 0.3 s; GET http://127.0.0.1:${ports.first}/ last said: connection refused`,
    });
    expect(isAlive(pid)).toBe(false);
  });
});
