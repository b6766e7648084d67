import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { Queue } from 'bullmq';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RedisLink } from '../src/redis.ts';
import { ended, eventually, fixtureJob, JobClient, Scene, TestMachine, TestRedis, watchAll } from './harness.ts';

let redis: TestRedis;
let machine: TestMachine;
let client: JobClient;
beforeAll(async () => {
  redis = await TestRedis.start();
  machine = new TestMachine(redis, { config: { retryDelayMs: 50, lockMs: 1_500 } });
  client = new JobClient({ redis: redis.url });
  await machine.service.start();
});
afterAll(async () => {
  await client.close();
  await machine[Symbol.asyncDispose]();
  await redis[Symbol.asyncDispose]();
});

const run = async (...args: Parameters<typeof fixtureJob>) => ended(client, await client.submit(fixtureJob(...args)));
const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex');

describe('artifacts', () => {
  test('are copied with size, hash, media type and origin', async () => {
    const big = join(redis.dir, 'big.bin');
    const content = Buffer.alloc(1_000_003, 'mgpu');
    writeFileSync(big, content);
    const files = [
      { name: 'sub/picture.png', text: 'not really' },
      { name: 'big.bin', path: big },
      { name: 'small.weird', path: join(import.meta.dirname, '../package.json'), mediaType: 'application/json' },
    ];
    const { result, metadata } = await run({ files }, { metadata: { user: 7 } });
    const stored = result?.artifacts ?? [];
    expect(metadata).toEqual({ user: 7 });
    expect(stored.map(({ name, mediaType, bytes }) => [name, mediaType, bytes])).toEqual([
      ['sub/picture.png', 'image/png', 10],
      ['big.bin', 'application/octet-stream', 1_000_003],
      ['small.weird', 'application/json', readFileSync(join(import.meta.dirname, '../package.json')).length],
    ]);
    for (const { path, sha256: hash } of stored) expect(sha256(readFileSync(path))).toBe(hash);
    expect(stored[1]?.sha256).toBe(sha256(content));
    expect(stored[0]).toMatchObject({ origin: { node: '9' } });
    expect(result).toMatchObject({ v: 1, engine: 'fixture_gpu0', attempt: 1 });
  });

  test('stay in their folder whatever they are called', async () => {
    const names = [
      '../../evil',
      '/etc/passwd',
      'a/../../b',
      '..\\..\\c',
      'nul\u0000l',
      '',
      '...',
      '.hidden',
      'x'.repeat(5_000),
    ];
    const { result, id } = await run({ files: names.map((name) => ({ name, text: 'content' })) });
    const folder = join(machine.context.layout.artifacts, id);
    const stored = result?.artifacts ?? [];
    expect(stored).toHaveLength(names.length);
    for (const { path, name } of stored) {
      expect(relative(folder, path)).toBe(name);
      expect(name).toMatch(/^(?!\.)[^\0]+$/);
      expect(readFileSync(path, 'utf8')).toBe('content');
    }
    expect(readdirSync(machine.context.layout.artifacts)).toContain(id);
    expect(readdirSync(machine.context.layout.root).sort()).toEqual(['artifacts', 'run', 'state', 'worker_gpu0']);
  });

  test('of the same name are all kept', async () => {
    const { result } = await run({ files: ['a.png', 'A.png', 'a.png'].map((name) => ({ name, text: name + name })) });
    expect(result?.artifacts.map(({ name }) => name)).toEqual(['a.png', 'A-2.png', 'a-3.png']);
  });

  test('that cannot be read fail the job, and are tried again', async () => {
    const dir = join(redis.dir, 'a-folder');
    mkdirSync(dir);
    const gone = await run({ files: [{ name: 'a', path: join(redis.dir, 'nothing') }] });
    expect(gone).toMatchObject({ state: 'failed', error: { code: 'WORKER_ARTIFACT_SOURCE', retryable: true } });
    const folder = await run({ files: [{ name: 'a', path: dir }] });
    expect(folder.error?.message).toContain('not a regular file');
    expect(machine.runsOf(gone.id)).toHaveLength(3);
  });

  test('are read through links, as engines use them', async () => {
    const link = join(redis.dir, 'link.txt');
    symlinkSync(join(import.meta.dirname, '../package.json'), link);
    const { result } = await run({ files: [{ name: 'link.txt', path: link }] });
    expect(result?.artifacts[0]).toMatchObject({ mediaType: 'text/plain' });
  });
});

describe('a watch', () => {
  test('tells state, progress, previews and the end', async () => {
    const id = await client.submit(fixtureJob({ does: 'steps', steps: 4, stepMs: 120 }));
    const events = await watchAll(client, id);
    expect(events.at(0)).toMatchObject({ event: 'state' });
    const progress = events.flatMap((each) => (each.event === 'progress' ? [each.progress.step ?? 0] : []));
    expect(progress.length).toBeGreaterThan(1);
    expect(progress).toEqual(progress.toSorted((a, b) => a - b));
    expect(progress.at(-1)).toBe(4);
    const previews = events.flatMap((each) =>
      each.event === 'preview' ? [Buffer.from(each.data, 'base64').toString()] : [],
    );
    // They travel on a connection of their own: the last one may be overtaken by the end.
    expect(previews).toContain('step 3');
    expect(events.at(-1)).toMatchObject({
      event: 'ended',
      status: { id, state: 'completed', progress: { percent: 100 }, result: { output: { steps: 4 } } },
    });
  });

  test('sends no more than ten a second, and always the last', async () => {
    const events = await watchAll(client, await client.submit(fixtureJob({ does: 'steps', steps: 100, stepMs: 2 })));
    const progress = events.flatMap((each) => (each.event === 'progress' ? [each.progress.step] : []));
    expect(progress.length).toBeLessThan(20);
    expect(progress.at(-1)).toBe(100);
  });

  test('that begins after the end tells the end', async () => {
    const { id } = await run({});
    expect(await watchAll(client, id)).toMatchObject([{ event: 'ended', status: { state: 'completed' } }]);
  });

  test('misses nothing of many jobs at once', async () => {
    const ids = await Promise.all(Array.from({ length: 200 }, () => client.submit(fixtureJob({ does: 'noop' }))));
    const statuses = await Promise.all(ids.map((id) => ended(client, id)));
    expect(statuses.map(({ id, state }) => [id, state])).toEqual(ids.map((id) => [id, 'completed']));
    expect(machine.notes.filter(({ id, event }) => event === 'run' && ids.includes(id))).toHaveLength(200);
  });

  test('ends by its signal', async () => {
    const stop = new AbortController();
    const id = await client.submit(fixtureJob({ does: 'hang' }));
    for await (const event of client.watch(id, { signal: stop.signal })) if (event.event === 'state') stop.abort();
    await client.cancel(id);
    expect(await ended(client, id)).toMatchObject({ state: 'cancelled' });
  });
});

describe('a failure', () => {
  test('that is permanent ends the job, its report complete', async () => {
    const status = await run({ does: 'fail', fault: 'permanent', message: 'no such node' });
    expect(status).toMatchObject({
      state: 'failed',
      error: {
        code: 'FIXTURE_FAILED',
        message: 'no such node',
        retryable: false,
        hint: 'none',
        details: { fault: 'permanent' },
      },
    });
    expect(machine.runsOf(status.id)).toHaveLength(1);
    expect(await client.get(status.id)).toEqual(status);
  });

  test('that is retryable is tried again, and counted', async () => {
    const status = await run({ does: 'fail', fault: 'retryable', times: 2 });
    expect(status).toMatchObject({ state: 'completed', result: { attempt: 3 } });
    expect(machine.runsOf(status.id).map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
    expect(await client.get(status.id)).not.toHaveProperty('error');
  });

  test('that keeps happening ends the job after its attempts', async () => {
    await using patient = new JobClient({ redis: redis.url, attempts: 4 });
    const id = await patient.submit(fixtureJob({ does: 'fail', fault: 'retryable' }));
    const events = await watchAll(patient, id);
    expect(events.at(-1)).toMatchObject({ status: { state: 'failed', error: { code: 'FIXTURE_FAILED' } } });
    expect(machine.runsOf(id)).toHaveLength(4);
    const attempts = events.flatMap((each) => (each.event === 'state' ? [each.attempt ?? 0] : []));
    expect(attempts).toEqual(attempts.toSorted((a, b) => a - b));
    expect(attempts.at(-1)).toBe(4);
  });

  test('without a report of ours is permanent', async () => {
    expect(await run({ does: 'nonsense' })).toMatchObject({
      state: 'failed',
      error: { code: 'CORE_UNEXPECTED', cause: { message: 'cannot do nonsense' } },
    });
  });

  test('of the engine quarantines the job after two victims, and is reported', async () => {
    const status = await run({ does: 'fail', fault: 'engine-fault', message: 'out of memory' });
    expect(status).toMatchObject({
      state: 'failed',
      error: { code: 'WORKER_JOB_QUARANTINED', cause: { message: 'out of memory' } },
    });
    expect(machine.runsOf(status.id)).toHaveLength(2);
    const { engines } = await machine.untilStatus(({ engines: [engine] }) => engine?.fault?.job === status.id);
    expect(engines[0]?.fault?.error).toMatchObject({ message: 'out of memory' });
    await run({});
    await machine.untilStatus(({ engines: [engine] }) => engine?.ready === true && engine.fault === undefined);
  });

  test('of an engine that is broken already costs no other job', async () => {
    await using scene = await Scene.open();
    const { client, redis } = scene;
    await using machine = new TestMachine(redis, { config: { retryDelayMs: 50 } });
    await machine.service.start();
    const broken = { does: 'fail', fault: 'engine-fault', message: 'illegal memory access' };
    const cause = await client.submit(fixtureJob(broken));
    expect(await ended(client, cause)).toMatchObject({ error: { code: 'WORKER_JOB_QUARANTINED' } });
    const innocent = await client.submit(fixtureJob(broken));
    await eventually(() => (machine.runsOf(innocent).length > 1 ? true : undefined));
    expect((await client.get(innocent)).state).not.toBe('failed');
    await client.cancel(innocent);
    expect(await ended(client, innocent)).toMatchObject({ state: 'cancelled' });
  });

  test('of the engine counts for the job it was working on only', async () => {
    const file = join(redis.dir, 'crash-now');
    const ids = await Promise.all([1, 2, 3].map(() => client.submit(fixtureJob({ does: 'crash', file }))));
    await Promise.all(ids.map((id) => machine.until('run', id)));
    writeFileSync(file, '');
    const ends = await Promise.all(ids.map((id) => ended(client, id)));
    expect(ends.map(({ state }) => state)).toEqual(['completed', 'completed', 'completed']);
    expect(ends.map(({ result }) => result?.attempt).sort()).toEqual([1, 1, 2]);
  });
});

describe('a timeout', () => {
  test('ends a running job', async () => {
    const status = await run({ does: 'hang' }, { timeoutMs: 300 });
    expect(status).toMatchObject({
      state: 'failed',
      error: { code: 'WORKER_JOB_TIMEOUT', details: { timeoutMs: 300 } },
    });
    expect(await machine.until('abort', status.id)).toMatchObject({ reason: 'WORKER_JOB_TIMEOUT' });
  });

  test('counts over all attempts', async () => {
    const status = await run({ does: 'fail', fault: 'retryable' }, { timeoutMs: 60 });
    expect(['WORKER_JOB_TIMEOUT', 'FIXTURE_FAILED']).toContain(status.error?.code);
    expect(machine.runsOf(status.id).length).toBeLessThanOrEqual(3);
  });
});

describe('a cancel', () => {
  test('of a running job reaches the engine', async () => {
    const id = await client.submit(fixtureJob({ does: 'hang' }));
    const watching = ended(client, id);
    await machine.until('run', id);
    await client.cancel(id);
    expect(await watching).toMatchObject({ state: 'cancelled', error: { code: 'WORKER_JOB_CANCELLED' } });
    expect(await machine.until('abort', id)).toMatchObject({ reason: 'WORKER_JOB_CANCELLED' });
    expect(await client.get(id)).toMatchObject({ state: 'cancelled' });
    expect(machine.runsOf(id)).toHaveLength(1);
  });

  test('of a waiting job keeps it from running, and ends its watch', async () => {
    const busy = await Promise.all([1, 2, 3].map(() => client.submit(fixtureJob({ does: 'hang' }))));
    const id = await client.submit(fixtureJob({}));
    const watching = watchAll(client, id);
    await Promise.all(busy.map((each) => machine.until('run', each)));
    await client.cancel(id);
    expect((await watching).at(-1)).toMatchObject({ event: 'ended', status: { state: 'cancelled' } });
    await Promise.all(busy.map((each) => client.cancel(each)));
    await Promise.all(busy.map((each) => ended(client, each)));
    expect(await run({})).toMatchObject({ state: 'completed' });
    expect(await client.get(id)).toMatchObject({ state: 'cancelled' });
    expect(machine.runsOf(id)).toEqual([]);
  });

  test('of a job between two attempts ends it', async () => {
    await using slow = new TestMachine(redis, { types: ['slow'], config: { retryDelayMs: 60_000 } });
    await slow.service.start();
    const id = await client.submit({ type: 'slow', input: { does: 'fail', fault: 'retryable' } });
    await slow.until('run', id);
    await eventually(async () => ((await client.get(id)).state === 'waiting' ? true : undefined));
    await client.cancel(id);
    expect(await ended(client, id)).toMatchObject({ state: 'cancelled' });
  });

  test('that nobody told the worker of is noticed', async () => {
    const id = await client.submit(fixtureJob({ does: 'hang' }));
    await machine.until('run', id);
    const link = new RedisLink({ url: redis.url, patient: true });
    await link.client.hset(`mgpu:mgpu-fixture:${id.replace('fixture.', '')}`, 'mgpuCancel', '1');
    link.close();
    expect(await ended(client, id)).toMatchObject({ state: 'cancelled' });
  });

  test('of an ended job does nothing', async () => {
    const { id } = await run({});
    await client.cancel(id);
    expect(await client.get(id)).toMatchObject({ state: 'completed' });
  });
});

describe('other clients', () => {
  test('may add jobs with BullMQ alone', async () => {
    const link = new RedisLink({ url: redis.url, patient: true });
    const queue = new Queue('mgpu-fixture', { connection: link.client, prefix: 'mgpu' });
    const { id } = await queue.add('anything', { input: { files: [{ name: 'a.txt', text: 'ab' }] } });
    const status = await ended(client, `fixture.${id}`);
    expect(status).toMatchObject({ state: 'completed', result: { artifacts: [{ name: 'a.txt' }] } });
    await queue.close();
    link.close();
  });
});
