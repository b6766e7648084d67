import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type ServiceContext, silentLogger } from '@mgpu/core';
import { leasePorts } from '@mgpu/core/testing';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  factsOf,
  failureOf,
  fixture,
  hurriedClock,
  isAlive,
  killAtEnd,
  Program,
  program,
  readPid,
  readRecord,
  temporaryFolder,
  whenUp,
} from '../support.ts';

const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
// Another one in each run of the suite: whoever else runs it sweeps by its marker, too.
const run = randomUUID();

/** A process that some former life may have started. */
function bystander(env: Record<string, string> = {}): number {
  const { file, args } = fixture('stays.mjs');
  const child = spawn(file, args, { detached: true, stdio: 'ignore', env: { ...process.env, ...env } });
  const { pid = 0 } = child;
  onTestFinished(() => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  });
  return pid;
}

/** A service that adopts nothing: nobody holds the root for it. */
const alone: typeof program = (config, options) => program(config, { ...options, survive: false });

function writeRecord(context: ServiceContext, record: Record<string, unknown>): void {
  mkdirSync(context.layout.run, { recursive: true });
  // Whoever started it is gone: somebody else has the number by now.
  const owner = { pid: process.pid, startTime: 0 };
  const stop = { stopSignal: 'SIGTERM', graceMs: 1_000, ports: [] };
  const began = { logOffset: 0, startedAt: 0, wasReady: true, specHash: '0', writtenAt: 'then' };
  const base = { v: 1, state: 'spawned', instance: 'program', run, bootId, owner, ...stop, ...began };
  writeFileSync(join(context.layout.run, 'program.json'), JSON.stringify({ ...base, ...record }));
}

describe('a start over what a former run left', () => {
  test('ends the recorded process first', async () => {
    const { service, context } = alone({ spec: fixture('stays.mjs'), probes: whenUp });
    const pid = bystander();
    writeRecord(context, { pid, startTime: factsOf(pid).startTime });
    await service.start();
    expect(isAlive(pid)).toBe(false);
    expect(readRecord(context)).toMatchObject({ run: service.status.run });
  });

  test('finds by its marker what a record without a pid cannot name', async () => {
    const { service, context } = alone({ spec: fixture('stays.mjs'), probes: whenUp });
    const pid = bystander({ MGPU_RUN: run });
    writeRecord(context, { state: 'intent' });
    await service.start();
    expect(isAlive(pid)).toBe(false);
  });

  test.each([
    ['that carries its marker', { MGPU_RUN: run }, '/usr/bin/other', false],
    ['that erased its environment but runs the same program', {}, process.execPath, false],
    ['but not what only shares its session and runs another program', {}, '/usr/bin/other', true],
    ['but not what runs the same program in an environment of its own', { OTHER: '1' }, process.execPath, true],
  ])('ends a child of a leader that is gone, %s', async (_, env, exe, survives) => {
    const pidFile = join(temporaryFolder(), 'pid');
    const { service, context } = alone({ spec: fixture('stays.mjs'), probes: whenUp }, { clock: hurriedClock(10) });
    const { file, args } = fixture('forks-a-child.mjs', pidFile);
    const leader = spawn(file, args, { detached: true, stdio: 'ignore', env });
    const child = killAtEnd(await readPid(pidFile));
    const { pid = 0 } = leader;
    writeRecord(context, { pid, startTime: factsOf(pid).startTime, exe });
    const reaped = once(leader, 'exit'); // as long as it has its number, the session can only be its own
    leader.kill('SIGKILL');
    await reaped;
    await service.start();
    expect(isAlive(child)).toBe(survives);
  });

  test('never signals a process that only has the recorded number', async () => {
    const { service, context } = alone({ spec: fixture('stays.mjs'), probes: whenUp });
    const pid = bystander();
    writeRecord(context, { pid, startTime: factsOf(pid).startTime - 1, exe: process.execPath });
    await service.start();
    expect(isAlive(pid)).toBe(true);
    expect(readRecord(context)).toMatchObject({ pid: service.pid });
  });

  test('never signals a process of another boot', async () => {
    const { service, context } = alone({ spec: fixture('stays.mjs'), probes: whenUp });
    const pid = bystander({ MGPU_RUN: run });
    writeRecord(context, { pid, startTime: factsOf(pid).startTime, bootId: 'another' });
    await service.start();
    expect(isAlive(pid)).toBe(true);
  });

  test('refuses a record of a newer version and signals nothing', async () => {
    const { service, context } = alone({ spec: fixture('stays.mjs'), probes: whenUp });
    const pid = bystander({ MGPU_RUN: run });
    writeRecord(context, { v: 2, pid, startTime: factsOf(pid).startTime });
    await expect(service.start()).rejects.toMatchObject({
      code: 'CORE_FILE_VERSION',
      details: { version: 2, supported: 1 },
    });
    expect(isAlive(pid)).toBe(true);
    expect(readRecord(context)).toMatchObject({ v: 2, pid });
    expect(service.status.state).toBe('failed');
  });

  test('refuses a record that is no record', async () => {
    const { service, context } = alone({ spec: fixture('stays.mjs') });
    writeRecord(context, { state: 'dreaming' });
    await expect(service.start()).rejects.toMatchObject({ code: 'CORE_FILE_INVALID' });
  });

  test('can be cancelled while it sweeps, and still leaves nothing of the former run', async () => {
    const pidFile = join(temporaryFolder(), 'pid');
    const sweeping = Promise.withResolvers<void>();
    const log = { ...silentLogger, warn: () => sweeping.resolve() };
    const { context } = alone({ spec: fixture('stays.mjs') }, { log });
    let prepared = 0;
    class Preparing extends Program {
      protected override async onPrepare(): Promise<void> {
        prepared += 1;
      }
    }
    const service = new Preparing({ spec: fixture('stays.mjs') }, context);
    const { file, args } = fixture('stubborn.mjs', pidFile);
    const leftover = spawn(file, args, { detached: true, stdio: 'ignore' });
    const pid = killAtEnd(await readPid(pidFile));
    writeRecord(context, { pid, startTime: factsOf(leftover.pid ?? 0).startTime });
    const start = failureOf(service.start());
    await sweeping.promise;
    await service.stop();
    expect(await start).toMatchObject({ code: 'CORE_START_ABORTED' });
    expect(isAlive(pid)).toBe(false);
    expect(readRecord(context)).toBeUndefined();
    expect(prepared).toBe(0);
  });
});

describe('a run of somebody who lives', () => {
  test('is no leftover: a second start is refused and signals nothing', async () => {
    const root = temporaryFolder();
    const { service: first, context } = program({ spec: fixture('stays.mjs'), probes: whenUp }, { root });
    const { service: second } = program({ spec: fixture('stays.mjs'), probes: whenUp }, { root });
    await first.start();
    const { pid = 0 } = first;
    const error = await failureOf(second.start());
    expect(error).toMatchObject({
      code: 'CORE_INSTANCE_IN_USE',
      retryable: true,
      details: { instance: 'program', owner: process.pid },
      hint: `stop it in process ${process.pid}, or use another root`,
    });
    expect(error.message).toMatch(/^program: process \d+ \(.*node.*\) already runs it on this root$/);
    expect(isAlive(pid)).toBe(true);
    expect(readRecord(context)).toMatchObject({ pid });
    await first.stop();
    await second.start();
    expect(isAlive(second.pid ?? 0)).toBe(true);
  });

  test('is one, however many start at the same moment', async () => {
    const root = temporaryFolder();
    const services = Array.from({ length: 5 }, () => program({ spec: fixture('stays.mjs') }, { root }).service);
    const starts = await Promise.allSettled(services.map((each) => each.start()));
    expect(starts.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const reasons = starts.flatMap((each) => (each.status === 'rejected' ? [each.reason.code] : []));
    expect(new Set(reasons)).toEqual(new Set(['CORE_INSTANCE_IN_USE']));
  });
});

describe('a port that is not free', () => {
  test('keeps the process from being started and is told with its holder', async () => {
    using ports = await leasePorts(1);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(ports.first, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const { service } = program({ spec: { ...fixture('stays.mjs'), ports: [{ port: ports.first }] } });
    const error = await failureOf(service.start());
    expect(error).toMatchObject({
      code: 'CORE_PORT_IN_USE',
      retryable: true,
      details: { instance: 'program', port: ports.first, host: '127.0.0.1', pid: process.pid },
      hint: `stop process ${process.pid} or choose another port`,
    });
    expect(error.message).toMatch(/^program: port \d+ on 127\.0\.0\.1 is in use by process \d+ \(.*node.*\)$/);
    expect(service.pid).toBeUndefined();
  });

  test('is taken back from a former run of the same instance', async () => {
    using ports = await leasePorts(1);
    const pidFile = join(temporaryFolder(), 'pid');
    const { service, context } = alone(
      { spec: { ...fixture('listens-late.mjs', ports.first, 0), ports: [{ port: ports.first }] } },
      { clock: hurriedClock(10) },
    );
    const { file, args } = fixture('stubborn.mjs', pidFile, ports.first);
    const leftover = spawn(file, args, { detached: true, stdio: 'ignore' });
    const pid = killAtEnd(await readPid(pidFile));
    writeRecord(context, { pid, startTime: factsOf(leftover.pid ?? 0).startTime });
    await service.start();
    expect(isAlive(pid)).toBe(false);
    expect(service.status.state).toBe('running');
  });
});
