import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type ServiceStatus, silentLogger, systemClock } from '@mgpu/core';
import { record, serviceConformance, testContext } from '@mgpu/core/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readStatus, worker } from '../src/index.ts';
import { aliveProbe } from '../src/status-probe.ts';
import { contextOf, ended, fixtureJob, JobClient, Scene, TestMachine, TestRedis } from './harness.ts';

let redis: TestRedis;
beforeAll(async () => {
  redis = await TestRedis.start();
});
afterAll(async () => {
  await redis[Symbol.asyncDispose]();
});

serviceConformance({
  definition: worker,
  config: {},
  context: () => testContext(contextOf(redis, { dir: mkdtempSync(join(redis.dir, 'conformance-')) })),
  test,
});

test('its settings are secret and gone after the stop', async () => {
  await using machine = new TestMachine(redis);
  const file = join(machine.context.layout.run, 'worker_gpu0.settings.json');
  await machine.service.start();
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({
    v: 1,
    owner: expect.stringMatching(/^test@.+-[0-9a-f]{8}\/worker_gpu0$/),
    redis: redis.url,
  });
  expect(statSync(machine.service.statusFile).mode & 0o777).toBe(0o600);
  await machine.service.stop();
  expect([existsSync(file), existsSync(machine.service.statusFile)]).toEqual([false, false]);
});

test('without Redis it is up and says what is missing, and works when Redis comes', async () => {
  await using late = new TestRedis();
  await using machine = new TestMachine(late);
  using states = record<ServiceStatus>(machine.service as never, 'status');
  await machine.service.start();
  const { reason } = await states.until(({ health }) => health === 'notReady');
  expect(reason?.message).toBe(`redis at ${late.url} is unreachable: ENOENT`);
  await late.up();
  await states.until(({ health, state }) => state === 'running' && health === 'ready');
  await using client = new JobClient({ redis: late.url });
  expect(await ended(client, await client.submit(fixtureJob({})))).toMatchObject({ state: 'completed' });
});

test('while its engine is down it says so and leaves jobs in the queue', async () => {
  await using machine = new TestMachine(redis, { types: ['down'] });
  machine.breakEngine();
  await machine.service.start();
  expect(await machine.service.health()).toMatchObject({ health: 'notReady', reason: 'fixture_gpu0 is not ready yet' });
  await using client = new JobClient({ redis: redis.url });
  const id = await client.submit({ type: 'down', input: {} });
  expect(await client.get(id)).toMatchObject({ state: 'waiting' });
  machine.mendEngine();
  expect(await ended(client, id)).toMatchObject({ state: 'completed', result: { attempt: 1 } });
  await machine.untilStatus(({ engines: [engine] }) => engine?.ready === true);
  expect(await machine.service.health()).toMatchObject({ health: 'ready' });
});

test('what it knows of its engine is told: the work in hand with its progress, and how it broke', async () => {
  await using scene = await Scene.open();
  await using machine = new TestMachine(scene.redis);
  const { service } = machine;
  expect(service.observations()).toEqual([]);
  await service.start();
  await expect.poll(() => service.observations()).toEqual([{ instance: 'fixture_gpu0', work: [] }]);
  const id = await scene.client.submit(scene.slowJob('observed', 50));
  await expect.poll(() => service.observations()).toMatchObject([{ work: [{ job: id }] }]);
  const [work] = service.observations()[0]?.work ?? [];
  expect(Date.parse(work?.progressAt ?? '')).toBeGreaterThanOrEqual(Date.parse(work?.since ?? ''));
  scene.finish('observed');
  await ended(scene.client, id);
  const message = 'CUDA error: out of memory';
  const failed = await scene.client.submit(fixtureJob({ does: 'fail', fault: 'retryable', message }));
  await expect
    .poll(() => service.observations())
    .toMatchObject([{ fault: { job: failed, error: { message: expect.stringContaining(message) } } }]);
  await service.stop();
  expect(service.observations()).toEqual([]);
});

test('an engine that stops answering gets no job until it answers again', async () => {
  await using machine = new TestMachine(redis, { types: ['mute'] });
  await using client = new JobClient({ redis: redis.url });
  await machine.service.start();
  expect(await ended(client, await client.submit({ type: 'mute', input: {} }))).toMatchObject({ state: 'completed' });
  machine.breakEngine();
  const { engines } = await machine.untilStatus(({ engines: [engine] }) => engine?.ready === false);
  expect(engines[0]?.reason).toBe('fixture_gpu0 does not answer');
  const id = await client.submit({ type: 'mute', input: {} });
  machine.mendEngine();
  expect(await ended(client, id)).toMatchObject({ state: 'completed', result: { attempt: 1 } });
  expect(machine.runsOf(id)).toHaveLength(1);
});

test('a connector that cannot be loaded is named, and the worker stays up', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'mgpu-worker-'));
  const module = join(dir, 'broken.mjs');
  writeFileSync(module, 'export const connect = 1;');
  const options = contextOf(redis, { dir });
  const [binding] = options.connectors ?? [];
  using context = testContext({
    ...options,
    connectors: binding ? [{ ...binding, module: pathToFileURL(module).href }] : [],
  });
  await using service = worker.create(worker.schema.parse({}), context);
  await service.start();
  const { health, reason } = await service.health();
  expect(health).toBe('notReady');
  expect(reason).toContain('fixture_gpu0: the connector file:///');
  expect(reason).toContain('it has no default export to call');
  rmSync(dir, { recursive: true });
});

test('kinds of engines that are not there are named', async () => {
  const warnings: string[] = [];
  const log = { ...silentLogger, warn: (message: string) => void warnings.push(message) };
  using context = testContext({ ...contextOf(redis, { dir: mkdtempSync(join(redis.dir, 'unknown-')) }), log });
  await using service = worker.create(worker.schema.parse({ connectors: ['comfui'] }), context);
  await service.start();
  expect(warnings).toContain('worker_gpu0 is to feed comfui, but the engines of its GPU are fixture');
});

test('a disk without room for its log does not end a worker', async () => {
  await using machine = new TestMachine(redis, { types: ['full'] });
  await machine.service.start();
  const settings = join(redis.dir, 'full.settings.json');
  writeFileSync(settings, JSON.stringify(machine.settings));
  await machine.service.stop();
  const program = join(import.meta.dirname, '../dist/host.js');
  const host = spawn(process.execPath, [program, settings], {
    stdio: ['ignore', openSync('/dev/full', 'w'), 'inherit'],
  });
  const exited = once(host, 'exit');
  await using client = new JobClient({ redis: redis.url });
  expect(await ended(client, await client.submit({ type: 'full', input: {} }))).toMatchObject({ state: 'completed' });
  host.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
});

test('a machine without a Redis is refused at the start', async () => {
  using context = testContext({ kind: 'worker' });
  const service = worker.create(worker.schema.parse({}), context);
  await expect(service.start()).rejects.toMatchObject({ code: 'WORKER_REDIS_MISSING' });
});

test('the status of a newer worker is refused', async () => {
  const path = join(redis.dir, 'newer.status.json');
  writeFileSync(path, JSON.stringify({ v: 2 }));
  expect(() => readStatus(path)).toThrow(expect.objectContaining({ code: 'CORE_FILE_VERSION' }));
});

test('a worker that is stuck is not alive', async () => {
  await using machine = new TestMachine(redis);
  await machine.service.start();
  const { signal } = new AbortController();
  const alive = aliveProbe(machine.service.statusFile, systemClock, 15_000);
  expect(await alive.attempt({ signal })).toEqual({ outcome: 'ok' });
  const later = aliveProbe(machine.service.statusFile, { ...systemClock, now: () => Date.now() + 20_000 }, 15_000);
  expect(await later.attempt({ signal })).toMatchObject({ outcome: 'fail' });
});

test('the configuration has the defaults and reads the variables of the predecessors', () => {
  expect(worker.schema.parse({})).toMatchObject({ enabled: true, gpus: 'all', connectors: 'all', concurrency: 3 });
  expect(worker.env?.WORKER_CONNECTORS?.parse?.('simulation, comfyui:2')).toEqual(['comfyui']);
  expect(worker.env?.ENABLE_REDIS_WORKERS?.parse?.('false')).toBe(false);
  expect(worker.schema.safeParse({ drain: 1 }).success).toBe(false);
});
