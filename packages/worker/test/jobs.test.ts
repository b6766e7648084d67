import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { JobSource } from '../src/queue.ts';
import { ended, eventually, fixtureJob, JobClient, Scene, TestMachine, TestRedis, watchAll } from './harness.ts';

let redis: TestRedis;
let machine: TestMachine;
let client: JobClient;
beforeAll(async () => {
  redis = await TestRedis.start();
  machine = new TestMachine(redis, { config: { retryDelayMs: 50, lockMs: 3_000 } });
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

  test('of an attempt that failed do not stay', async () => {
    const { id } = await run({ files: [{ name: 'a.txt', text: 'half' }], fault: 'permanent' });
    expect(readdirSync(machine.context.layout.artifacts)).not.toContain(id);
  });

  test('that are still being copied when the job is cancelled do not stay', async () => {
    const id = await client.submit(fixtureJob({ does: 'stuck-copy' }));
    await machine.until('submit', id);
    await client.cancel(id);
    expect(await ended(client, id)).toMatchObject({ state: 'cancelled' });
    expect(readdirSync(machine.context.layout.artifacts)).not.toContain(id);
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

  test('leaves out progress, but never the last', async () => {
    const events = await watchAll(client, await client.submit(fixtureJob({ does: 'steps', steps: 100, stepMs: 2 })));
    const progress = events.flatMap((each) => (each.event === 'progress' ? [each.progress.step] : []));
    expect(progress.at(-1)).toBe(100);
    expect(progress.length).toBeLessThan(100);
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

  test('of the engine counts for the job it was working on only', async () => {
    const file = join(redis.dir, 'crash-now');
    const crash = fixtureJob({ does: 'crash', file, percent: 95 });
    const ids = await Promise.all([1, 2, 3].map(() => client.submit(crash)));
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
    await using persistent = new JobClient({ redis: redis.url, attempts: 100 });
    const id = await persistent.submit(fixtureJob({ does: 'fail', fault: 'retryable' }, { timeoutMs: 300 }));
    expect(await ended(persistent, id)).toMatchObject({ state: 'failed', error: { code: 'WORKER_JOB_TIMEOUT' } });
    expect(machine.runsOf(id).length).toBeGreaterThan(1);
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
    const busy = await Promise.all([1, 2, 3].map(() => client.submit(fixtureJob({ does: 'hang', percent: 95 }))));
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

  test('that nobody told the worker of is noticed', async () => {
    const id = await client.submit(fixtureJob({ does: 'hang' }));
    await machine.until('run', id);
    await redis.ask((client) => client.hset(`mgpu:mgpu-fixture:${id.replace('fixture.', '')}`, 'mgpuCancel', '1'));
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
    const input = { files: [{ name: 'a.txt', text: 'ab' }] };
    const { id } = await redis.withQueue('fixture', (queue) => queue.add('anything', { input }));
    const status = await ended(client, `fixture.${id}`);
    expect(status).toMatchObject({
      state: 'completed',
      result: { machine: 'test', artifacts: [{ name: 'a.txt' }] },
    });
  });

  test.each([
    ['nothing', null],
    ['no object', 5],
    ['a newer envelope', { v: 2, input: {} }],
    ['a time limit beyond all measure', { input: {}, timeoutMs: 1e10 }],
    ['an unknown key', { input: {}, timeout: 5 }],
  ])('that add a job with %s are told', async (_, data) => {
    const { id } = await redis.withQueue('fixture', (queue) => queue.add('anything', data));
    expect(await ended(client, `fixture.${id}`)).toMatchObject({
      state: 'failed',
      error: { code: 'WORKER_JOB_INVALID', retryable: false },
    });
    expect(machine.runsOf(`fixture.${id}`)).toEqual([]);
  });
});

test('an output that is too large for a queue fails the job', async () => {
  expect(await run({ does: 'output', bytes: 1_000_000 })).toMatchObject({
    state: 'failed',
    error: {
      code: 'WORKER_OUTPUT_TOO_LARGE',
      message: expect.stringMatching(/has 1 MB of JSON, more than the 1 MB/),
    },
  });
  expect(await run({ does: 'output', bytes: 900_000 })).toMatchObject({ state: 'completed' });
});

test('a job that is taken away is ended in the engine', async () => {
  const id = await client.submit(fixtureJob({ does: 'hang' }));
  await machine.until('run', id);
  const key = `mgpu:mgpu-${id.replace('.', ':')}`;
  await redis.ask((client) => client.set(`${key}:lock`, 'of somebody else'));
  expect(await machine.until('abort', id)).toMatchObject({ reason: 'WORKER_JOB_LOST' });
  await redis.ask((client) => client.del(key, `${key}:lock`));
});

// They wait more than they work, for what takes a worker seconds.
describe.concurrent('a worker of its own', () => {
  test('a failure of an engine that is broken already costs no other job', async () => {
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

  test('a failure of an engine that was away since is blamed on the job that caused it', async () => {
    await using scene = await Scene.open();
    await using client = new JobClient({ redis: scene.redis.url, attempts: 1 });
    await using machine = new TestMachine(scene.redis);
    await machine.service.start();
    for (const _ of ['first', 'second']) {
      const id = await client.submit(fixtureJob({ does: 'kill' }));
      await machine.untilStatus(
        ({ engines: [engine] }) => engine?.fault?.job === id && engine.reason === 'fixture_gpu0 does not answer',
      );
      expect(await ended(client, id)).toMatchObject({ state: 'failed', error: { code: 'FIXTURE_FAILED' } });
      machine.mendEngine();
    }
  });

  test('failures of others do not count for a job that was given back again and again', async () => {
    const type = 'released';
    const id = await client.submit({ type, input: {} });
    await redis.ask(async (client) => {
      const settings = {
        owner: 'other',
        lockMs: 60_000,
        keepJobs: { count: 1, ageMs: 1 },
        attempts: 1,
        retryDelayMs: 1,
      };
      const source = new JobSource({ ...settings, type, client, prefix: 'mgpu', onError: () => {} });
      for (let time = 0; time < 25; time++) await (await source.next(`token${time}`, { wait: false }))?.release();
      await source.close();
    });
    await using later = new TestMachine(redis, { types: [type] });
    await later.service.start();
    expect(await ended(client, id)).toMatchObject({ state: 'completed', result: { attempt: 1 } });
  });

  test('a cancel of a job between two attempts ends it', async () => {
    await using slow = new TestMachine(redis, { types: ['slow'], config: { retryDelayMs: 60_000 } });
    await slow.service.start();
    const id = await client.submit({ type: 'slow', input: { does: 'fail', fault: 'retryable' } });
    await slow.until('run', id);
    await eventually(async () => ((await client.get(id)).state === 'waiting' ? true : undefined));
    await client.cancel(id);
    expect(await ended(client, id)).toMatchObject({ state: 'cancelled' });
  });

  test('a cancel does not wait for a connector that is deaf to it', async () => {
    await using scene = await Scene.open();
    await using machine = new TestMachine(scene.redis);
    await machine.service.start();
    const id = await scene.client.submit(fixtureJob({ does: 'deaf', ms: 600_000 }));
    await machine.until('run', id);
    await scene.client.cancel(id);
    expect(await ended(scene.client, id)).toMatchObject({ state: 'cancelled' });
    expect(await ended(scene.client, await scene.client.submit(fixtureJob({})))).toMatchObject({ state: 'completed' });
  });

  test('a cancel is not for a later job of the same id', async () => {
    await using scene = await Scene.open();
    const { redis, client } = scene;
    await using first = new TestMachine(redis);
    await using second = new TestMachine(redis, { gpu: 1 });
    first.breakEngine();
    await Promise.all([first.service.start(), second.service.start()]);
    const id = await client.submit(fixtureJob({ does: 'hang' }, { id: 'again' }));
    await second.until('run', id);
    await client.cancel(id);
    expect(await ended(client, id)).toMatchObject({ state: 'cancelled' });
    await second.service.stop();
    await redis.removeJob('fixture', id);
    first.mendEngine();
    expect(await client.submit(fixtureJob({}, { id: 'again' }))).toBe(id);
    expect(await ended(client, id)).toMatchObject({ state: 'completed', result: { engine: 'fixture_gpu0' } });
  });

  test('cancels leave no more jobs behind than are to be remembered', async () => {
    const type = 'forgotten';
    const ids: string[] = [];
    for (let job = 0; job < 5; job++) ids.push(await client.submit({ type, input: {} }));
    for (const id of ids) await client.cancel(id);
    await using tidy = new TestMachine(redis, { types: [type], config: { keepJobs: { count: 2 }, lockMs: 3_000 } });
    await tidy.service.start();
    const isKnown = (id: string) =>
      client.get(id).then(
        () => true,
        () => false,
      );
    await eventually(async () => {
      const known = await Promise.all(ids.map(isKnown));
      return known.filter(Boolean).length === 2 ? true : undefined;
    });
  });

  test('clients that add what is no JSON are told, and hold up no other job', async () => {
    await using scene = await Scene.open();
    const id = await scene.client.submit(fixtureJob({}));
    await scene.redis.ask((client) => client.hset(`mgpu:mgpu-${id.replace('.', ':')}`, 'data', '{"input":'));
    await using machine = new TestMachine(scene.redis);
    await machine.service.start();
    expect(await ended(scene.client, id)).toMatchObject({ error: { code: 'WORKER_JOB_INVALID' } });
    expect(await ended(scene.client, await scene.client.submit(fixtureJob({})))).toMatchObject({ state: 'completed' });
  });
});
