import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  httpProbe,
  logLineProbe,
  MgpuError,
  type Probe,
  probeFail,
  probeOk,
  runCommand,
  systemClock,
  tcpProbe,
} from '@mgpu/core';
import { fakeClock, leasePorts, record } from '@mgpu/core/testing';
import { describe, expect, test } from 'vitest';
import {
  eventually,
  failureOf,
  fixture,
  hurriedClock,
  isAlive,
  killAtEnd,
  plentyMs,
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

describe('a start that is short of something', () => {
  test('of descriptors is worth a retry', async () => {
    const { file, args } = fixture('runs-out-of-files.mjs', temporaryFolder());
    const { stdout } = await runCommand('sh', ['-c', 'ulimit -n 64; exec "$0" "$@"', file, ...args], {
      timeoutMs: 20_000,
    });
    expect(JSON.parse(stdout)).toMatchObject({ code: 'CORE_PROCESS_SPAWN', retryable: true });
  });

  test('because its log cannot be written says so', async () => {
    const { service } = program({ spec: fixture('stays.mjs') });
    mkdirSync(service.logFile, { recursive: true });
    const error = await failureOf(service.start());
    expect(error).toMatchObject({ code: 'CORE_PROCESS_SPAWN', retryable: false, details: { permanent: true } });
    expect(error.message).toContain('its log cannot be written: EISDIR');
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
    using states = record<{ state: string; reason?: { code?: string } }>(service, 'status');
    process.kill(service.pid ?? 0, 'SIGKILL');
    const failed = await states.until(({ state }) => state === 'failed');
    expect(failed).toMatchObject({ reason: { code: 'CORE_PROCESS_EXITED', details: { signal: 'SIGKILL' } } });
    expect(service.status.lastExit).toMatchObject({ code: null, signal: 'SIGKILL' });
  });

  test('is noticed by the event, with no clock going', async () => {
    const { service } = program({ spec: fixture('stays.mjs') }, { clock: fakeClock() });
    await service.start();
    process.kill(service.pid ?? 0, 'SIGKILL');
    await eventually(() => service.status.state === 'failed');
    expect(service.status.lastExit).toMatchObject({ signal: 'SIGKILL' });
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
        probes: { startup: { probe: tcpProbe({ path: '/nowhere' }), deadlineMs: plentyMs } },
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
  test('is ended at the deadline, with the last answer of the probe and its last words', async () => {
    // The deadline has come as soon as the program said its words, however long it took to say them.
    let passed = 0;
    const clock = { ...systemClock, elapsed: () => systemClock.elapsed() + passed };
    const output = logLineProbe(/^warming up/);
    const probe: Probe = {
      description: 'the answer',
      attempt: async (context) => {
        if ((await output.attempt(context)) === probeOk) passed = plentyMs;
        return probeFail('not yet');
      },
    };
    const startup = { probe, deadlineMs: plentyMs, intervalMs: 10 };
    const { service } = program({ spec: fixture('never-up.mjs'), probes: { startup } }, { clock });
    const start = failureOf(service.start());
    const pid = await eventually(() => service.pid);
    expect(await start).toMatchObject({
      code: 'CORE_START_TIMEOUT',
      retryable: true,
      message: 'program: not ready after 200 s; the answer last said: not yet; its last words: warming up',
      details: { log: service.logFile, lastLines: ['warming up'] },
      hint: `its log is ${service.logFile}; a slow first start needs a longer start deadline`,
    });
    expect(isAlive(pid)).toBe(false);
  });
});
