import { readFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { httpProbe, logLineProbe } from '@mgpu/core';
import { leasePorts, record } from '@mgpu/core/testing';
import { describe, expect, test } from 'vitest';
import { eventually, factsOf, fixture, isAlive, program, readRecord, temporaryFolder, whenUp } from '../support.ts';

describe('a started process', () => {
  test('leads a session and a group of its own', async () => {
    const { service } = program({ spec: fixture('stays.mjs'), probes: whenUp });
    await service.start();
    const { pid = 0 } = service;
    expect(factsOf(pid)).toMatchObject({ session: pid, group: pid });
  });

  test('appends its output to the log, behind that of former runs', async () => {
    const { service } = program({ spec: fixture('stays.mjs'), probes: whenUp });
    await service.start();
    const first = service.pid;
    await service.restart();
    expect(readFileSync(service.logFile, 'utf8')).toBe(`up ${first}\nup ${service.pid}\n`);
  });

  test('is on record before it exists', async () => {
    const root = temporaryFolder();
    // The program prints the record as it finds it when it begins.
    const spec = { file: 'cat', args: [join(root, 'run', 'program.json')], completes: true };
    const { service } = program({ spec }, { root });
    await service.start();
    const found = JSON.parse(readFileSync(service.logFile, 'utf8'));
    expect(found).toMatchObject({ v: 1, instance: 'program', run: service.status.lastExit?.run });
    expect(found.state).toMatch(/^(intent|spawned)$/);
  });

  test('is on record with everything it takes to know it again', async () => {
    const { service, context } = program({ spec: fixture('stays.mjs'), probes: whenUp });
    await service.start();
    const { pid = 0 } = service;
    await eventually(() => readRecord(context)?.wasReady === true, 'the record of its readiness');
    expect(readRecord(context)).toEqual({
      v: 1,
      state: 'spawned',
      instance: 'program',
      run: service.status.run,
      owner: { pid: process.pid, startTime: factsOf(process.pid).startTime },
      bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
      pid,
      startTime: factsOf(pid).startTime,
      exe: process.execPath,
      specHash: expect.stringMatching(/^[0-9a-f]{16}$/),
      stopSignal: 'SIGTERM',
      graceMs: 10_000,
      ports: [],
      logOffset: 0,
      startedAt: expect.any(Number),
      wasReady: true,
      writtenAt: expect.stringMatching(/^\d{4}-.*Z$/),
    });
  });

  test('carries the id of its run in the environment', async () => {
    const { service } = program({ spec: fixture('stays.mjs'), probes: whenUp });
    await service.start();
    expect(readFileSync(`/proc/${service.pid}/environ`, 'utf8').split('\0')).toContain(
      `MGPU_RUN=${service.status.run}`,
    );
  });

  test('gets the environment of the context, changed by its command', async () => {
    const spec = { ...fixture('stays.mjs'), env: { ADDED: '1', DROPPED: undefined } };
    const { service } = program({ spec, probes: whenUp }, { env: { PATH: process.env.PATH, DROPPED: 'x', KEPT: 'y' } });
    await service.start();
    const environment = readFileSync(`/proc/${service.pid}/environ`, 'utf8').split('\0');
    expect(environment).toContain('ADDED=1');
    expect(environment).toContain('KEPT=y');
    expect(environment.some((each) => each.startsWith('DROPPED'))).toBe(false);
  });

  test('sees no GPU on a machine without one', async () => {
    const gpu = { index: 0, mode: 'cpu', name: 'CPU', memoryMiB: 0 } as const;
    const { service } = program({ spec: fixture('stays.mjs'), probes: whenUp }, { gpu });
    await service.start();
    expect(service.id).toBe('program_gpu0');
    expect(readFileSync(`/proc/${service.pid}/environ`, 'utf8')).toContain('CUDA_VISIBLE_DEVICES=\0');
  });

  test('is ready when its probe says so, not before', async () => {
    using ports = await leasePorts(1);
    const url = new URL(`http://127.0.0.1:${ports.first}/`);
    const { service } = program({
      spec: { ...fixture('listens-late.mjs', ports.first, 150), ports: [{ port: ports.first }] },
      probes: { startup: { probe: httpProbe(url), deadlineMs: 15_000, intervalMs: 10 } },
    });
    await service.start();
    expect(readFileSync(service.logFile, 'utf8')).toBe('listening\n');
    expect(service.status).toMatchObject({ state: 'running', health: 'ready' });
  });

  test('may flood its log without anybody noticing', async () => {
    const { service } = program({
      spec: fixture('floods.mjs'),
      probes: { startup: { probe: logLineProbe(/^done$/), deadlineMs: 20_000, intervalMs: 20 } },
    });
    await service.start();
    expect(readFileSync(service.logFile).length).toBe(20_000_005);
  });
});

describe('asked for its health', () => {
  test('a process does not have its log read all over again', async () => {
    const { service } = program({ spec: fixture('stays.mjs'), probes: whenUp });
    await service.start();
    truncateSync(service.logFile);
    expect(await service.health()).toMatchObject({ health: 'ready' });
  });
});

describe('a program that is meant to end', () => {
  test('has started when it completed', async () => {
    const { service, context } = program({ spec: { ...fixture('exits.mjs', 0, 'done'), completes: true } });
    using states = record<{ state: string }>(service, 'status');
    await service.start();
    expect(service.status).toMatchObject({ state: 'completed', lastExit: { code: 0, signal: null } });
    expect(states.events.map(({ state }) => state)).toEqual(['starting', 'cleaning', 'completed']);
    expect(readRecord(context)).toBeUndefined();
  });

  test('fails with a code other than 0', async () => {
    const { service } = program({ spec: { ...fixture('exits.mjs', 3), completes: true } });
    await expect(service.start()).rejects.toMatchObject({ code: 'CORE_PROCESS_EXITED', details: { exitCode: 3 } });
  });

  test('is stopped like any other while it works', async () => {
    const { service } = program({ spec: { ...fixture('stays.mjs'), completes: true } });
    const start = service.start();
    const pid = await eventually(() => service.pid);
    await service.stop();
    await expect(start).rejects.toMatchObject({ code: 'CORE_START_ABORTED' });
    expect(isAlive(pid)).toBe(false);
  });
});
