import { join } from 'node:path';
import type { MgpuError } from '@mgpu/core';
import { QueueKeys } from 'bullmq';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { queueKeys } from '../src/job-names.ts';
import { ended, eventually, fixtureJob, JobClient, TestMachine, TestRedis } from './harness.ts';

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

test('a job that is submitted twice under one id is one job', async () => {
  await using client = new JobClient({ redis: redis.url });
  const request = { type: 'twice', id: 'order-17', input: {} };
  expect(await client.submit(request)).toBe('twice.order-17');
  expect(await client.submit(request)).toBe('twice.order-17');
  expect(await redis.withQueue('twice', (queue) => queue.getJobCountByTypes('waiting'))).toBe(1);
});

test('a submission whose fate is unknown can be repeated with the id that its error names', async () => {
  await using silent = await TestRedis.start();
  await using client = new JobClient({ redis: silent.url, waitMs: 500 });
  await client.submit({ type: 'unsure', input: 'to connect' });
  silent.pause();
  const request = { type: 'unsure', input: 'once' };
  const failed = await client.submit(request).catch((error: MgpuError) => error);
  expect(failed).toMatchObject({ code: 'WORKER_REDIS_UNREACHABLE', retryable: true });
  silent.resume();
  const { id } = (failed as MgpuError).details as { id: string };
  await eventually(() => client.submit({ ...request, id }).catch(() => undefined));
  expect(await silent.withQueue('unsure', (queue) => queue.getJobCountByTypes('waiting'))).toBe(2);
});

test('a request that is too large for a queue is refused with its size', async () => {
  await using client = new JobClient({ redis: redis.url });
  await expect(client.submit(fixtureJob({ picture: 'x'.repeat(1_500_000) }))).rejects.toMatchObject({
    code: 'WORKER_REQUEST_TOO_LARGE',
    message: 'the job request has 1.5 MB of JSON, more than the 1 MB a queue is for',
  });
});

test('watching jobs that nobody knows opens no connections', async () => {
  await using client = new JobClient({ redis: redis.url });
  await expect(client.get('nobody.1')).rejects.toMatchObject({ code: 'CORE_JOB_UNKNOWN' });
  const before = await redis.clients();
  for (const type of ['a', 'b', 'c'])
    await expect(client.watch(`${type}.1`).next()).rejects.toMatchObject({ code: 'CORE_JOB_UNKNOWN' });
  expect(await redis.clients()).toBe(before);
});

test('a request that is not valid is refused with its reasons', async () => {
  await using client = new JobClient({ redis: redis.url });
  await expect(client.submit({ type: 'Not A Type', input: {}, timeoutMs: -1 })).rejects.toMatchObject({
    code: 'WORKER_REQUEST_INVALID',
    message: expect.stringMatching(/type: .*timeoutMs: /),
  });
});

test('no job has a name that its queue uses', async () => {
  const keys = Object.keys(new QueueKeys('prefix').getKeys('queue')).filter(Boolean);
  expect(queueKeys.toSorted()).toEqual(keys.toSorted());
  await using client = new JobClient({ redis: redis.url });
  await expect(client.submit({ type: 'named', id: 'wait', input: {} })).rejects.toMatchObject({
    code: 'WORKER_REQUEST_INVALID',
  });
  const id = await client.submit({ type: 'named', input: {} });
  expect(await client.get(id)).toMatchObject({ state: 'waiting' });
  for (const key of keys)
    await expect(client.get(`named.${key}`), key).rejects.toMatchObject({ code: 'CORE_JOB_UNKNOWN' });
});

test.each(['7', '007', 'NaN'])('the id "%s", which BullMQ takes for a number, is refused', async (id) => {
  await using client = new JobClient({ redis: redis.url });
  await expect(client.submit({ type: 'fixture', id, input: {} })).rejects.toMatchObject({
    code: 'WORKER_REQUEST_INVALID',
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
