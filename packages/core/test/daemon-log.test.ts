import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { createDaemonLog, MgpuError } from '@mgpu/core';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { fixture, temporaryFolder } from './support.ts';

const files = (dir: string) => readdirSync(dir).filter((name) => /^mgpu-.*\.log/.test(name));
const lines = (dir: string): Record<string, unknown>[] =>
  files(dir)
    .flatMap((name) => readFileSync(join(dir, name), 'utf8').trim().split('\n'))
    .filter(Boolean)
    .map((line) => JSON.parse(line));

describe('the log of the daemon', () => {
  test('is one JSON object a line with time, level, message and fields', async () => {
    const dir = temporaryFolder();
    const { log, close } = createDaemonLog({ dir });
    log.info('up', { instance: 'nginx', port: 8080 });
    await close();
    expect(files(dir)).toEqual([expect.stringMatching(/^mgpu-\d{4}-\d\d-\d\d\.log$/)]);
    expect(lines(dir)).toEqual([
      { timestamp: expect.stringMatching(/Z$/), level: 'info', message: 'up', instance: 'nginx', port: 8080 },
    ]);
  });

  test('has the lines of its level and everything more severe', async () => {
    const dir = temporaryFolder();
    const { log, close } = createDaemonLog({ dir, level: 'warn' });
    for (const level of ['debug', 'info', 'warn', 'error'] as const) log[level](level);
    await close();
    expect(lines(dir).map(({ message }) => message)).toEqual(['warn', 'error']);
  });

  test('keeps errors whole, causes included', async () => {
    const dir = temporaryFolder();
    const { log, close } = createDaemonLog({ dir });
    const error = new MgpuError('no', { code: 'TEST_NO', details: { n: 1 }, cause: new TypeError('why') });
    log.error('it failed', { error, nested: { error }, all: [error] });
    await close();
    const told = { code: 'TEST_NO', message: 'no', details: { n: 1 }, cause: { message: 'why' } };
    expect(lines(dir)[0]).toMatchObject({ error: told, nested: { error: told }, all: [told] });
  });

  test('never has a secret', async () => {
    const dir = temporaryFolder();
    const { log, close } = createDaemonLog({ dir });
    log.info('connected to redis://:hunter2@host', { config: { password: 'hunter2' } });
    log.child({ token: 'hunter2' }).info('child', { error: new Error('redis://:hunter2@host is away') });
    await close();
    expect(JSON.stringify(lines(dir))).not.toContain('hunter2');
    expect(lines(dir)).toHaveLength(2);
  });

  test('adds the fields of children, and their own win', async () => {
    const dir = temporaryFolder();
    const { log, close } = createDaemonLog({ dir });
    log.child({ kind: 'a', instance: 'x' }).child({ instance: 'y' }).warn('w', { kind: 'b' });
    await close();
    expect(lines(dir)[0]).toMatchObject({ level: 'warn', message: 'w', kind: 'b', instance: 'y' });
  });

  test('takes text and fields as they are, whatever they look like', async () => {
    const dir = temporaryFolder();
    const { log, close } = createDaemonLog({ dir });
    log.info('100%done, 5%s', { instance: 'x', message: 'mine', level: 'odd' });
    await close();
    expect(lines(dir)).toEqual([
      { timestamp: expect.any(String), level: 'info', message: '100%done, 5%s', instance: 'x' },
    ]);
  });

  test('is cut by size', async () => {
    const dir = temporaryFolder();
    const { log, close } = createDaemonLog({ dir, maxSizeMiB: 0.01 });
    for (let n = 0; n < 100; n++) {
      log.info('x'.repeat(1_000), { n });
      await new Promise((resolve) => setImmediate(resolve));
    }
    await close();
    expect(files(dir).length).toBeGreaterThan(3);
    expect(
      lines(dir)
        .map(({ n }) => n)
        .toSorted((a, b) => Number(a) - Number(b)),
    ).toEqual(Array.from({ length: 100 }, (_, n) => n));
  });

  test('begins a file a day, and keeps those of so many days', async () => {
    // The library itself looks at the date.
    vi.useFakeTimers({ toFake: ['Date'], now: new Date(2026, 0, 1, 12) });
    onTestFinished(() => void vi.useRealTimers());
    const dir = temporaryFolder();
    const { log, close } = createDaemonLog({ dir, maxDays: 3 });
    for (let day = 1; day <= 6; day++) {
      vi.setSystemTime(new Date(2026, 0, day, 12));
      log.info(`day ${day}`);
      // Made in the background: what is not there yet cannot be removed, and no day is over so soon.
      await expect.poll(() => files(dir)).toContain(`mgpu-2026-01-0${day}.log`);
    }
    await close();
    expect(files(dir).toSorted()).toEqual([4, 5, 6].map((day) => `mgpu-2026-01-0${day}.log`));
    expect(
      lines(dir)
        .map(({ message }) => message)
        .toSorted(),
    ).toEqual(['day 4', 'day 5', 'day 6']);
  });

  test('can be closed twice, and what comes later is dropped', async () => {
    const dir = temporaryFolder();
    const { log, close } = createDaemonLog({ dir });
    log.info('before');
    await Promise.all([close(), close()]);
    await close();
    log.info('after');
    log.child({}).error('after');
    expect(lines(dir).map(({ message }) => message)).toEqual(['before']);
  });

  test('without a folder and console says and writes nothing', () => {
    const cwd = temporaryFolder();
    const { file, args } = fixture('logs-to-nothing.mjs');
    const { status, stdout, stderr } = spawnSync(file, args, { cwd, encoding: 'utf8' });
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
    expect(readdirSync(cwd)).toEqual([]);
  });

  test('survives that its folder is removed', async () => {
    const dir = temporaryFolder();
    const { log, close } = createDaemonLog({ dir: join(dir, 'logs'), maxSizeMiB: 0.01 });
    log.info('x'.repeat(1_000));
    await new Promise((resolve) => setImmediate(resolve));
    renameSync(join(dir, 'logs'), join(dir, 'gone')); // whole, while the log may be making a file in it
    for (let n = 0; n < 30; n++) {
      log.info('x'.repeat(1_000), { n });
      await new Promise((resolve) => setImmediate(resolve));
    }
    await close();
    // What went into the removed file is lost; the next one is written again.
    expect(lines(join(dir, 'logs')).map(({ n }) => n)).toContain(29);
  });

  test('says once on standard error that it cannot be written, and the program goes on', () => {
    const { file, args } = fixture('logs-to-full-disk.mjs');
    const { status, stderr, stdout } = spawnSync(file, args, { encoding: 'utf8' });
    expect(stdout).toBe('still here\n');
    expect(status).toBe(0);
    expect(stderr.match(/cannot be written/g) ?? []).toHaveLength(1);
  });

  test('writes readable lines to standard error when asked to', () => {
    const { file, args } = fixture('logs-to-console.mjs');
    const { stderr, stdout } = spawnSync(file, args, { encoding: 'utf8' });
    expect(stderr).toBe('info: up\nwarn: nginx: slow\n');
    expect(stdout).toBe('');
  });
});
