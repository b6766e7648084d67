import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { ServiceStatus } from '@mgpu/core';
import { record, serviceConformance, temporaryFolder, testContext } from '@mgpu/core/testing';
import { Redis } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { RedisService, redis } from '../src/index.ts';

describe('conformance of our own', () => {
  serviceConformance({ definition: redis, config: {}, context: () => testContext({ kind: 'redis' }), test });
});

const connect = (service: RedisService) => new Redis({ path: service.socketPath, maxRetriesPerRequest: 1 });

/** Inodes of the TCP sockets a process listens on, from /proc. */
function listeningSockets(pid: number): string[] {
  const table = ['tcp', 'tcp6'].map((name) => readFileSync(`/proc/${pid}/net/${name}`, 'utf8')).join('\n');
  const rows = table.split('\n').map((line) => line.trim().split(/\s+/));
  const listening = new Set(rows.filter((row) => row[3] === '0A').map((row) => row[9]));
  return readSockets(pid).filter((inode) => listening.has(inode));
}

function readSockets(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
    return inode === undefined ? [] : [inode];
  });
}

describe('our own Redis', () => {
  test('answers on a socket of mode 0600 and on no TCP port, and evicts nothing', async () => {
    await using service = new RedisService();
    await service.start();
    expect(statSync(service.socketPath).mode & 0o777).toBe(0o600);
    expect(listeningSockets(service.pid ?? 0)).toEqual([]);
    using client = disposable(connect(service));
    expect(await client.redis.ping()).toBe('PONG');
    expect(await client.redis.config('GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'noeviction']);
    await service.stop();
    expect(existsSync(service.socketPath)).toBe(false);
  });

  test('keeps its data over a stop', async () => {
    using root = temporaryFolder();
    await using service = new RedisService({ dir: root.path });
    await service.start();
    await write(service, 'kept');
    await service.stop();
    expect(service.status.lastExit).toMatchObject({ code: 0 });
    await service.start();
    expect(await read(service)).toBe('kept');
  });

  test('keeps what it has written to its file when it is killed, and says how it died', async () => {
    using root = temporaryFolder();
    await using service = new RedisService({ dir: root.path });
    await service.start();
    await write(service, 'written');
    await untilWritten(service);
    using statuses = record<ServiceStatus>(service, 'status');
    process.kill(service.pid ?? 0, 'SIGKILL');
    const failed = await statuses.until(({ state }) => state === 'failed');
    expect(failed.reason).toMatchObject({ code: 'CORE_PROCESS_EXITED' });
    await service.start();
    expect(await read(service)).toBe('written');
  });

  test('is not ready while it loads its data', async () => {
    using root = temporaryFolder();
    {
      await using service = new RedisService({ dir: root.path });
      await service.start();
      using client = disposable(connect(service));
      await client.redis.eval(`for i = 1, 100000 do redis.call('SET', 'key:' .. i, i) end`, 0);
    }
    // Redis' own setting for tests: it takes its time over each key it loads.
    const program = join(root.path, 'slow-redis');
    writeFileSync(program, '#!/bin/sh\nexec redis-server "$@" --key-load-delay 1000\n', { mode: 0o755 });
    await using service = new RedisService({ dir: root.path, program });
    const started = service.start();
    using client = disposable(new Redis({ path: service.socketPath, enableReadyCheck: false }));
    client.redis.on('error', () => {}); // its socket is not there at once: it tries again
    await expect(client.redis.ping()).rejects.toThrow(/^LOADING/);
    expect(service.status).toMatchObject({ state: 'starting', health: 'unknown' });
    await client.redis.config('SET', 'key-load-delay', '0');
    await started;
    expect(await client.redis.dbsize()).toBe(100_000);
  });

  test('starts over a socket file that a dead server left', async () => {
    using root = temporaryFolder();
    await using service = new RedisService({ dir: root.path });
    await leaveSocket(service.socketPath);
    await service.start();
    expect(service.status).toMatchObject({ state: 'running', health: 'ready' });
  });

  test('works below a root too deep for a Unix socket, and with a blank in its name', async () => {
    using root = temporaryFolder('deep root');
    const dir = join(root.path, 'x'.repeat(60), 'y'.repeat(60));
    await using service = new RedisService({ dir });
    await service.start();
    expect(service.socketPath.startsWith(root.path)).toBe(false);
    expect(statSync(join(service.socketPath, '..')).mode & 0o777).toBe(0o700);
    await write(service, 'deep');
    await service.stop();
    expect(existsSync(join(service.socketPath, '..'))).toBe(false);

    await using shallow = new RedisService({ dir: join(root.path, 'a b') });
    await shallow.start();
    await write(shallow, 'blank');
    expect(await read(shallow)).toBe('blank');
  });

  test('refuses a socket folder that others may write to', async () => {
    using root = temporaryFolder();
    const dir = join(root.path, 'z'.repeat(120));
    const service = new RedisService({ dir });
    const folder = join(service.socketPath, '..');
    mkdirSync(folder);
    chmodSync(folder, 0o777);
    try {
      await expect(service.start()).rejects.toMatchObject({ code: 'CORE_FOLDER_NOT_PRIVATE' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test.each([
    ['a missing program is named with the cure', undefined, 'CORE_PROGRAM_MISSING', /^install it: /],
    ['a wrong path is named with its key', '/nowhere/redis', 'CORE_PROGRAM_PATH', /services.redis.program/],
  ])('%s', async (_, program, code, cure) => {
    using context = testContext({ kind: 'redis', env: { PATH: '' } });
    const config = redis.schema.parse({ program });
    const { layout, log, clock, env, machine } = context;
    const signal = new AbortController().signal;
    const missing = { code, hint: expect.stringMatching(cure) };
    await expect(redis.install?.({ layout, log, clock, env, machine, signal }, config)).rejects.toMatchObject(missing);
    await expect(redis.create(config, context).start()).rejects.toMatchObject(missing);
    const [finding] = (await redis.doctor?.(config, context)) ?? [];
    expect(finding).toMatchObject({ level: 'error', hint: missing.hint });
  });

  test('a server too old for the queue is found by doctor', async () => {
    using root = temporaryFolder();
    using context = testContext({ kind: 'redis' });
    const program = join(root.path, 'old-redis');
    writeFileSync(program, '#!/bin/sh\necho Redis server v=5.0.14 sha=00000000:0\n', { mode: 0o755 });
    const [finding] = (await redis.doctor?.(redis.schema.parse({ program }), context)) ?? [];
    expect(finding).toMatchObject({ level: 'error', message: expect.stringContaining('5.0.14') });
  });

  test('doctor names the program and its version', async () => {
    using context = testContext({ kind: 'redis' });
    const [finding] = (await redis.doctor?.(redis.schema.parse({}), context)) ?? [];
    expect(finding).toMatchObject({ level: 'ok', message: expect.stringMatching(/redis: \/.*server \d+\.\d+/) });
  });
});

function disposable(redisClient: Redis): Disposable & { redis: Redis } {
  return { redis: redisClient, [Symbol.dispose]: () => redisClient.disconnect() };
}

async function write(service: RedisService, value: string): Promise<void> {
  using client = disposable(connect(service));
  await client.redis.set('key', value);
}

async function read(service: RedisService): Promise<string | null> {
  using client = disposable(connect(service));
  return await client.redis.get('key');
}

/** Replies do not wait for the file while that is being synced. */
async function untilWritten(service: RedisService): Promise<void> {
  using client = disposable(connect(service));
  while (!/^aof_buffer_length:0\r$/m.test(await client.redis.info('persistence')));
}

/** A socket file nobody listens on: its server was killed. */
async function leaveSocket(path: string): Promise<void> {
  const script = `const s=require('net').createServer().listen(process.argv[1],()=>process.kill(process.pid,'SIGKILL'))`;
  mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 });
  expect(() => execFileSync(process.execPath, ['-e', script, path])).toThrow();
  expect(existsSync(path)).toBe(true);
}
