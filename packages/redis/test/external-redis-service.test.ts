import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findProgram, loadConfig, type ServiceStatus, silentLogger } from '@mgpu/core';
import { leasePorts, record, serviceConformance, testContext } from '@mgpu/core/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ExternalRedisService, redis } from '../src/index.ts';

const password = 'correct horse';
const checkIntervalMs = 100;

/** A Redis that is not ours: on a TCP port, behind a password. */
interface Server extends AsyncDisposable {
  readonly url: string;
}

async function startServer(port: number, ...more: string[]): Promise<Server> {
  const dir = mkdtempSync(join(tmpdir(), 'mgpu-redis-external-'));
  const program = (await findProgram(['redis-server', 'valkey-server'], process.env)) ?? 'redis-server';
  const args = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--dir',
    dir,
    '--requirepass',
    password,
    '--save',
    '',
    ...more,
  ];
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  await untilListening(child);
  return {
    url: urlOf(port),
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
      rmSync(dir, { recursive: true });
    },
  };
}

async function untilListening({ stdout }: ChildProcess): Promise<void> {
  let output = '';
  for await (const chunk of stdout ?? []) {
    output += String(chunk);
    if (output.includes('Ready to accept connections')) break;
  }
}

const urlOf = (port: number, secret = password) => `redis://:${encodeURIComponent(secret)}@127.0.0.1:${port}/0`;

/** Waits for the service to say so; the wait is bounded by the test's own time. */
async function untilHealth(service: ExternalRedisService, health: ServiceStatus['health']): Promise<ServiceStatus> {
  if (service.status.health === health) return service.status;
  using statuses = record<ServiceStatus>(service, 'status');
  return await statuses.until((status) => status.health === health);
}

describe('conformance of an existing one', () => {
  const held = new AsyncDisposableStack();
  const config: Record<string, unknown> = { url: 'redis://127.0.0.1:1/0', checkIntervalMs };
  beforeAll(async () => {
    const lease = held.use(await leasePorts(1));
    config.url = held.use(await startServer(lease.first)).url;
  });
  afterAll(() => held.disposeAsync());
  // The suite reads its configuration while tests are collected: the port is only known later.
  const definition = {
    ...redis,
    create: (_: never, context: Parameters<typeof redis.create>[1]) =>
      redis.create(redis.schema.parse(config), context),
  };
  serviceConformance({ definition, config, context: () => testContext({ kind: 'redis' }), test });
});

describe('an existing Redis', () => {
  test('is not needed for the start; it becomes ready when it appears and not ready when it goes', async () => {
    using lease = await leasePorts(1);
    await using service = new ExternalRedisService({ url: urlOf(lease.first), checkIntervalMs });
    await service.start();
    const down = await untilHealth(service, 'notReady');
    expect(down).toMatchObject({ state: 'running', reason: { message: 'connection refused' } });
    {
      await using _server = await startServer(lease.first);
      expect(await untilHealth(service, 'ready')).toMatchObject({ state: 'running', health: 'ready' });
    }
    expect(await untilHealth(service, 'notReady')).toMatchObject({ reason: { message: 'connection refused' } });
    expect(service.status).not.toHaveProperty('pid');
  });

  test('that refuses the password is not ready and says so, without showing the password', async () => {
    using lease = await leasePorts(1);
    await using _server = await startServer(lease.first);
    await using service = new ExternalRedisService({ url: urlOf(lease.first, 'hunter2'), checkIntervalMs });
    await service.start();
    const { reason, endpoint } = await untilHealth(service, 'notReady');
    expect(reason?.message).toMatch(/refuses the user name or password/);
    expect(endpoint).toBe(`redis://:[redacted]@127.0.0.1:${lease.first}/0`);
    expect(service.endpoint.url.password).toBe('hunter2');

    const bare = new ExternalRedisService({ url: `redis://127.0.0.1:${lease.first}`, checkIntervalMs });
    await using _bare = bare;
    await bare.start();
    expect((await untilHealth(bare, 'notReady')).reason?.message).toMatch(/asks for a password/);
  });

  test('that never answers is not ready, and does not hold up the stop', async () => {
    const silent = createServer();
    await once(silent.listen(0, '127.0.0.1'), 'listening');
    const address = silent.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    await using service = new ExternalRedisService({ url: `redis://127.0.0.1:${port}`, checkIntervalMs });
    await service.start();
    expect((await untilHealth(service, 'notReady')).reason?.message).toMatch(/no answer within/);
    await service.stop();
    expect(service.status.state).toBe('stopped');
    silent.close();
  });

  test('doctor warns of one that is down, and says the version of one that is fit', async () => {
    using lease = await leasePorts(1);
    using context = testContext({ kind: 'redis' });
    const examine = async () => (await redis.doctor?.(redis.schema.parse({ url: urlOf(lease.first) }), context)) ?? [];
    const [down] = await examine();
    expect(down).toMatchObject({ level: 'warning', message: expect.stringContaining('connection refused') });
    expect(down?.message).not.toContain(encodeURIComponent(password));
    await using _server = await startServer(lease.first);
    expect((await examine())[0]).toMatchObject({ level: 'ok', message: expect.stringMatching(/\d+\.\d+\.\d+$/) });
  });

  test('that evicts is warned of by doctor and at the start', async () => {
    using lease = await leasePorts(1);
    const warnings: string[] = [];
    const log = { ...silentLogger, warn: (message: string) => void warnings.push(message) };
    using context = testContext({ kind: 'redis', log });
    await using _server = await startServer(lease.first, '--maxmemory-policy', 'allkeys-lru');
    const config = redis.schema.parse({ url: urlOf(lease.first), checkIntervalMs });
    const message = expect.stringMatching(/maxmemory-policy allkeys-lru$/);
    expect(await redis.doctor?.(config, context)).toMatchObject([{ level: 'warning', message }]);
    await using service = redis.create(config, context);
    await service.start();
    expect(warnings).toEqual([message]);
    expect(warnings[0]).not.toContain(encodeURIComponent(password));
  });

  test("is named by either variable, the predecessors' wins", async () => {
    const examine = async (env: Record<string, string>) =>
      (await loadConfig({ definitions: [redis], cwd: '/nowhere', env })).config.services.redis;
    expect(await examine({ REDIS_URL: 'redis://a' })).toMatchObject({ url: 'redis://a' });
    expect(await examine({ HUB_REDIS_URL: 'redis://b', REDIS_URL: 'redis://a' })).toMatchObject({ url: 'redis://b' });
    expect(await examine({ HUB_REDIS_URL: '' })).not.toHaveProperty('url');
  });

  test('an URL of something else is refused with the key', () => {
    const { error } = redis.schema.safeParse({ url: 'http://localhost' });
    expect(error?.issues[0]).toMatchObject({ path: ['url'] });
  });
});
