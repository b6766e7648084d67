import { type JobListOptions, type JobState, type JobStatus, jobStates } from '@mgpu/core';
import { Worker } from 'bullmq';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { queueName } from '../src/job-names.ts';
import { ended, fixtureJob, JobClient, Scene, TestMachine, TestRedis } from './harness.ts';

let redis: TestRedis;
let client: JobClient;
beforeAll(async () => {
  redis = await TestRedis.start();
  client = new JobClient({ redis: redis.url });
});
afterAll(async () => {
  await client.close();
  await redis[Symbol.asyncDispose]();
});

const second = (seconds: number) => Date.UTC(2026, 0, 1) + 1_000 * seconds;
const idsOf = (jobs: readonly JobStatus[]) => jobs.map(({ id }) => id);
const keyOf = (type: string, rest: string) => `mgpu:${queueName(type)}:${rest}`;

/** Adds jobs `j<n>` that were created n seconds after the new year. */
const add = (type: string, seconds: readonly number[], more: Readonly<Record<string, unknown>> = {}) =>
  redis.withQueue(type, (queue) =>
    queue.addBulk(
      seconds.map((n) => ({
        name: 'any',
        data: { input: {} },
        opts: { jobId: `j${n}`, timestamp: second(n), ...more },
      })),
    ),
  );

/** How many jobs were looked at meanwhile. */
async function readsOf(work: () => Promise<unknown>): Promise<number> {
  const reads = () => redis.ask(async (each) => /cmdstat_hmget:calls=(\d+)/.exec(await each.info('commandstats'))?.[1]);
  const before = Number((await reads()) ?? 0);
  await work();
  return Number(await reads()) - before;
}

test('the newest of all types together come first, no more than were asked for', async () => {
  await add('paint', [1, 3, 5]);
  await add('write', [2, 4, 6]);
  const types = ['paint', 'write', 'paint', 'nobodys'];
  const all = ['write.j6', 'paint.j5', 'write.j4', 'paint.j3', 'write.j2', 'paint.j1'];
  const listed = await client.list({ types });
  expect(idsOf(listed)).toEqual(all);
  expect(listed[0]).toEqual({
    id: 'write.j6',
    type: 'write',
    state: 'waiting',
    createdAt: '2026-01-01T00:00:06.000Z',
  });
  expect(idsOf(await client.list({ types, limit: 3 }))).toEqual(all.slice(0, 3));
  expect(idsOf(await client.list({ types: ['paint'], limit: 1 }))).toEqual(['paint.j5']);
  expect(await client.list({ types: [] })).toEqual([]);
  expect(await client.list({ types, states: [] })).toEqual([]);
});

test('there are fifty unless more are asked for', async () => {
  await add('many', [...Array(600).keys()]);
  const newest = (count: number) => Array.from({ length: count }, (_, index) => `many.j${599 - index}`);
  expect(idsOf(await client.list({ types: ['many'] }))).toEqual(newest(50));
  expect(idsOf(await client.list({ types: ['many'], limit: 500 }))).toEqual(newest(500));
});

test('each state has its jobs, told as when one asks for them', async () => {
  await using scene = await Scene.open();
  await using machine = new TestMachine(scene.redis, { config: { concurrency: 1 } });
  await machine.service.start();
  const { client: own } = scene;
  const completed = await own.submit(fixtureJob({ does: 'output', bytes: 10 }, { metadata: { user: 7 } }));
  await ended(own, completed);
  const secret = 'what is asked of the engine';
  const failed = await own.submit(fixtureJob({ secret, fault: 'permanent' }));
  await ended(own, failed);
  const active = await own.submit(scene.slowJob('go'));
  await machine.until('run', active);
  const cancelled = await own.submit(fixtureJob({}));
  await own.cancel(cancelled);
  const waiting = await own.submit(fixtureJob({ secret }));
  const inState: Record<JobState, string> = { waiting, active, completed, failed, cancelled };
  const all = await own.list({ types: ['fixture'] });
  expect(idsOf(all)).toEqual([waiting, cancelled, active, failed, completed]);
  for (const each of all) expect(each).toEqual(await own.get(each.id));
  for (const state of jobStates)
    expect(await own.list({ types: ['fixture'], states: [state] })).toMatchObject([{ id: inState[state], state }]);
  const ends = await own.list({ types: ['fixture'], states: ['cancelled', 'completed'] });
  expect(idsOf(ends)).toEqual([cancelled, completed]);
  expect(JSON.stringify(all)).not.toContain(secret);
  scene.finish('go');
});

describe('a job that waits', () => {
  test('for its time, its turn, its children, a paused queue or a worker in place of a dead one is waiting', async () => {
    await add('later', [1], { delay: 3_600_000 });
    await add('later', [2], { priority: 5 });
    await add('later', [3]);
    // As BullMQ 5 pauses.
    await redis.ask((each) => each.rename(keyOf('later', 'wait'), keyOf('later', 'paused')));
    await add('later', [4]);
    await redis.ask((each) => each.rename(keyOf('later', 'wait'), keyOf('later', 'active')));
    await add('later', [5]);
    const listed = await client.list({ types: ['later'], states: ['waiting'] });
    expect(idsOf(listed)).toEqual([5, 4, 3, 2, 1].map((n) => `later.j${n}`));
    expect(await client.list({ types: ['later'], states: ['active'] })).toEqual([]);
  });
});

describe('a huge queue', () => {
  test('is not read as a whole', async () => {
    await add('huge', [...Array(20_000).keys()]);
    const reads = await readsOf(() => client.list({ types: ['huge'], limit: 10 }));
    expect(reads).toBeLessThan(200);
  });

  test('is looked through for what is rare in it, to an end', async () => {
    // As they are when they have ended; ended in the order of their ids.
    const fail = (from: number, to: number, failedReason: string) =>
      redis.ask(async (each) => {
        const batch = each.pipeline();
        for (let n = from; n < to; n++) {
          const at = second(n);
          batch.hset(keyOf('rare', `j${n}`), { timestamp: at, data: '{}', failedReason, finishedOn: at });
          batch.zadd(keyOf('rare', 'failed'), at, `j${n}`);
        }
        await batch.exec();
      });
    const report = JSON.stringify({ code: 'WORKER_JOB_CANCELLED', message: 'cancelled', retryable: false });
    await fail(0, 1, report);
    await fail(1, 901, 'out of memory');
    const cancelled = { types: ['rare'], states: ['cancelled'] } satisfies JobListOptions;
    expect(idsOf(await client.list(cancelled))).toEqual(['rare.j0']);
    expect(idsOf(await client.list({ types: ['rare'], states: ['failed'], limit: 2 }))).toEqual([
      'rare.j900',
      'rare.j899',
    ]);
    await fail(901, 12_000, 'out of memory');
    expect(await readsOf(async () => expect(await client.list(cancelled)).toEqual([]))).toBe(5_000);
  });
});

describe('other clients', () => {
  test('may have added and left anything', async () => {
    const odd: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
      ['no-json', { data: '{' }],
      ['nothing', { data: 'null' }],
      ['number', { data: '5' }],
      ['progress', { progress: '"half"' }],
      ['no-time', { timestamp: '1e20' }],
      ['no-number', { timestamp: 'yesterday' }],
      ['no-report', { finishedOn: '1', failedReason: '{"code":5}' }],
      ['no-result', { finishedOn: '1', returnvalue: 'x' }],
    ];
    await add('odd', [1, 2]);
    await redis.withQueue('odd', async (queue) => {
      for (const [jobId] of odd) await queue.add('any', {}, { jobId, timestamp: second(3) });
    });
    await redis.ask(async (each) => {
      for (const [id, fields] of odd) await each.hset(keyOf('odd', id), fields);
      // Without its hash a job is only an id.
      await each.del(keyOf('odd', 'j2'));
    });
    const listed = await client.list({ types: ['odd'] });
    expect(listed.map(({ id, state }) => [id, state])).toEqual([
      ['odd.no-result', 'completed'],
      ['odd.no-report', 'failed'],
      ['odd.progress', 'waiting'],
      ['odd.number', 'waiting'],
      ['odd.nothing', 'waiting'],
      ['odd.no-json', 'waiting'],
      ['odd.j1', 'waiting'],
      ['odd.no-number', 'waiting'],
      ['odd.no-time', 'waiting'],
    ]);
    expect(await client.get('odd.no-time')).toMatchObject({ state: 'waiting', createdAt: '1970-01-01T00:00:00.000Z' });
  });

  test('may have completed one with nothing, or failed it with their own words', async () => {
    await add('theirs', [1, 2]);
    await redis.ask(async (connection) => {
      const theirs = new Worker(queueName('theirs'), null, { connection, prefix: 'mgpu', autorun: false });
      for (const result of [null, new Error('no more ink')]) {
        const job = await theirs.getNextJob('token');
        if (result) await job?.moveToFailed(result, 'token');
        else await job?.moveToCompleted(result, 'token', false);
      }
      await theirs.close();
    });
    expect(await client.list({ types: ['theirs'] })).toMatchObject([
      { id: 'theirs.j2', state: 'failed', error: { code: 'CORE_UNEXPECTED', message: 'no more ink' } },
      { id: 'theirs.j1', state: 'completed' },
    ]);
  });
});

test.each([
  ['limit: ', { types: ['paint'], limit: 0 }],
  ['limit: ', { types: ['paint'], limit: 501 }],
  ['limit: ', { types: ['paint'], limit: 1.5 }],
  ['types.1: ', { types: ['paint', 'Not A Type'] }],
  ['states.0: ', { types: ['paint'], states: ['over'] }],
  ['types: ', {}],
  ['list: ', { types: ['paint'], order: 'oldest' }],
])('a list that cannot be is refused with its reason: %s%j', async (reason, options) => {
  await expect(client.list(options as JobListOptions)).rejects.toMatchObject({
    code: 'WORKER_REQUEST_INVALID',
    message: expect.stringContaining(`the request is not valid: ${reason}`),
  });
});

test('a Redis that is not there, and a client that is closed, are named', async () => {
  const away = new JobClient({ redis: 'redis://127.0.0.1:1', waitMs: 200 });
  await expect(away.list({ types: ['paint'] })).rejects.toMatchObject({ code: 'WORKER_REDIS_UNREACHABLE' });
  await away.close();
  await expect(away.list({ types: ['paint'] })).rejects.toMatchObject({ code: 'WORKER_CLIENT_CLOSED' });
});
