import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ended, fixtureJob, JobClient, TestMachine, TestRedis } from './harness.ts';

let redis: TestRedis;
beforeAll(async () => {
  redis = await TestRedis.start();
});
afterAll(async () => {
  await redis[Symbol.asyncDispose]();
});

test('a Redis that is not there is named, its password is not', async () => {
  await using client = new JobClient({ redis: 'redis://user:secret@127.0.0.1:1/0', waitMs: 300 });
  await expect(client.submit(fixtureJob({}))).rejects.toMatchObject({
    code: 'WORKER_REDIS_UNREACHABLE',
    retryable: true,
    message: 'redis at redis://user:[redacted]@127.0.0.1:1/0 is unreachable: ECONNREFUSED (waited 0.3 s)',
  });
  await expect(client.get('fixture.1')).rejects.toMatchObject({ code: 'WORKER_REDIS_UNREACHABLE' });
  await expect(client.watch('fixture.1').next()).rejects.toMatchObject({ code: 'WORKER_REDIS_UNREACHABLE' });
});

test('a Redis that does not answer is not waited for either', async () => {
  await using silent = await TestRedis.start();
  await using client = new JobClient({ redis: silent.url, waitMs: 500 });
  await client.submit(fixtureJob({}));
  silent.pause();
  await expect(client.submit(fixtureJob({}))).rejects.toMatchObject({ code: 'WORKER_REDIS_UNREACHABLE' });
});

test('a Redis that refuses is quoted', async () => {
  await using full = await TestRedis.start('--maxmemory', '1', '--maxmemory-policy', 'noeviction');
  await using client = new JobClient({ redis: full.url });
  await expect(client.submit(fixtureJob({}))).rejects.toMatchObject({
    code: 'WORKER_REDIS_UNREACHABLE',
    message: expect.stringContaining('OOM'),
  });
});

test('a Redis that comes within the time is used', async () => {
  await using late = new TestRedis();
  await using client = new JobClient({ redis: late.url });
  const submitted = client.submit(fixtureJob({}));
  await late.up();
  expect(await client.get(await submitted)).toMatchObject({ state: 'waiting', type: 'fixture' });
});

test('something that is no URL of a Redis is refused', async () => {
  await using client = new JobClient({ redis: 'http://127.0.0.1' });
  await expect(client.submit(fixtureJob({}))).rejects.toMatchObject({ code: 'WORKER_REDIS_URL' });
});

test('a request that is not valid is refused with its reasons', async () => {
  await using client = new JobClient({ redis: redis.url });
  await expect(client.submit({ type: 'Not A Type', input: {}, timeoutMs: -1 })).rejects.toMatchObject({
    code: 'WORKER_REQUEST_INVALID',
    message: expect.stringMatching(/type: .*timeoutMs: /),
  });
});

test.each(['fixture.nothing', 'nothing', '', '..', 'fixture.', 'Fixture.1'])('job "%s" is unknown', async (id) => {
  await using client = new JobClient({ redis: redis.url });
  const unknown = { code: 'CORE_JOB_UNKNOWN' };
  await expect(client.get(id)).rejects.toMatchObject(unknown);
  await expect(client.cancel(id)).rejects.toMatchObject(unknown);
  await expect(client.watch(id).next()).rejects.toMatchObject(unknown);
});

test('a job that is removed while it is watched is unknown from then on', async () => {
  await using client = new JobClient({ redis: redis.url });
  const id = await client.submit({ type: 'removed', input: {} });
  const watch = client.watch(id);
  expect(await watch.next()).toMatchObject({ value: { event: 'state', state: 'waiting' } });
  await redis.removeJob('removed', id);
  await expect(watch.next()).rejects.toMatchObject({ code: 'CORE_JOB_UNKNOWN' });
});

test('closing ends what is open and leaves nothing', async () => {
  const client = new JobClient({ redis: redis.url });
  const id = await client.submit({ type: 'closing', input: {} });
  const watch = client.watch(id);
  await watch.next();
  const end = watch.next();
  await client.close();
  await expect(end).rejects.toMatchObject({ code: 'WORKER_CLIENT_CLOSED' });
  await expect(client.submit(fixtureJob({}))).rejects.toMatchObject({ code: 'WORKER_CLIENT_CLOSED' });
  await client.close();
  await redis.untilClients(1);
});

test('a client on a dead Redis can be closed, and the program ends', async () => {
  const client = new JobClient({ redis: `unix://${join(redis.dir, 'nobody.sock')}`, waitMs: 60_000 });
  const submitted = client.submit(fixtureJob({}));
  const watched = client.watch('fixture.1').next();
  await client.close();
  await expect(submitted).rejects.toMatchObject({ code: 'WORKER_CLIENT_CLOSED' });
  await expect(watched).rejects.toMatchObject({ code: 'WORKER_CLIENT_CLOSED' });
});

test('keys of another prefix are another queue', async () => {
  await using machine = new TestMachine(redis, { config: { prefix: 'elsewhere' } });
  await machine.service.start();
  await using here = new JobClient({ redis: redis.url });
  await using there = new JobClient({ redis: redis.url, prefix: 'elsewhere' });
  const waiting = await here.submit(fixtureJob({}));
  const done = await there.submit(fixtureJob({}));
  expect(await ended(there, done)).toMatchObject({ state: 'completed' });
  expect(await here.get(waiting)).toMatchObject({ state: 'waiting' });
});
