import type { ServiceStatus } from '@mgpu/core';
import { record } from '@mgpu/core/testing';
import { describe, expect, test } from 'vitest';
import { JobScripts } from '../src/job-scripts.ts';
import { RedisLink } from '../src/redis.ts';
import { ended, eventually, fixtureJob, Scene, TestMachine } from './harness.ts';

/** What Redis sees when a worker of that name dies over the jobs it has, again and again. */
async function dieOften(redis: string, owner: string, deaths: number): Promise<void> {
  const link = new RedisLink({ url: redis, patient: true });
  const scripts = new JobScripts(link, 'mgpu', 'fixture');
  for (let death = 1; death <= deaths; death++) await scripts.takeOver(owner, `${death}:`, 60_000);
  link.close();
}

/** The shortest there is. */
const lockMs = 3_000;

async function killHost({ service }: TestMachine): Promise<void> {
  using states = record<ServiceStatus>(service as never, 'status');
  if (service.pid === undefined) throw new Error('the worker has no process');
  process.kill(service.pid, 'SIGKILL');
  await states.until(({ state }) => state === 'failed');
}

describe.concurrent('a stop', () => {
  test('lets the running job end, and takes no other', async () => {
    await using scene = await Scene.open();
    const { redis, client } = scene;
    await using machine = new TestMachine(redis, { config: { concurrency: 1 } });
    await machine.service.start();
    const [id, next] = [await client.submit(scene.slowJob('a')), await client.submit(fixtureJob({}))];
    await machine.until('submit', id);
    const stopped = machine.service.stop();
    await machine.untilStatus(({ state }) => state === 'draining');
    scene.finish('a');
    await stopped;
    expect(machine.service.status).toMatchObject({ state: 'stopped', lastExit: { code: 0 } });
    expect(await client.get(id)).toMatchObject({ state: 'completed', result: { attempt: 1 } });
    expect(await client.get(next)).toMatchObject({ state: 'waiting' });
    expect(machine.runsOf(next)).toEqual([]);
  });

  test('gives back the job that was on its way to it', async () => {
    await using scene = await Scene.open();
    const { redis, client } = scene;
    await using machine = new TestMachine(redis, { config: { concurrency: 1 } });
    await machine.service.start();
    // Near its end, so that telling the end asks for the next one.
    const id = await client.submit(scene.slowJob('k', 95));
    await machine.until('submit', id);
    const next = await client.submit(fixtureJob({}));
    redis.pause();
    scene.finish('k');
    await machine.until('done', id);
    const stopped = machine.service.stop();
    await machine.untilStatus(({ state }) => state === 'draining');
    redis.resume();
    await stopped;
    expect(await client.get(id)).toMatchObject({ state: 'completed' });
    expect(await client.get(next)).toMatchObject({ state: 'waiting' });
    expect(machine.runsOf(next)).toEqual([]);
  });

  test('leaves what takes too long to the next start, which finds it in the engine', async () => {
    await using scene = await Scene.open();
    const { redis, client } = scene;
    await using machine = new TestMachine(redis, { config: { drainMs: 100 } });
    await machine.service.start();
    const { owner } = machine.settings;
    const id = await client.submit(scene.slowJob('b'));
    await machine.until('submit', id);
    await machine.service.stop();
    expect(machine.service.status.lastExit).toMatchObject({ code: 0 });
    expect(await machine.until('abort', id)).toMatchObject({ reason: 'CORE_JOB_HANDOVER' });
    // One more death would be too many: the handover is none.
    await dieOften(redis.url, owner, 19);
    await machine.service.start();
    scene.finish('b');
    expect(await ended(client, id)).toMatchObject({
      state: 'completed',
      result: { attempt: 1, output: { resumed: { prompt: 'p1' } } },
    });
    expect(machine.notes.filter(({ event }) => event === 'submit')).toHaveLength(1);
  });

  test('leaves what takes too long to another machine when this one does not come back', async () => {
    await using scene = await Scene.open();
    const { redis, client } = scene;
    await using first = new TestMachine(redis, { config: { drainMs: 100, lockMs } });
    await first.service.start();
    const id = await client.submit(scene.slowJob('c'));
    await first.until('submit', id);
    await first.service.stop();
    await using second = new TestMachine(redis, { gpu: 1, config: { lockMs } });
    await second.service.start();
    scene.finish('c');
    expect(await ended(client, id)).toMatchObject({ state: 'completed', result: { engine: 'fixture_gpu1' } });
  });
});

describe.concurrent('a worker that is killed', () => {
  test('resumes its jobs at once when it starts again, each submitted once', async () => {
    await using scene = await Scene.open();
    const { redis, client } = scene;
    await using machine = new TestMachine(redis, { config: { lockMs: 60_000 } });
    await machine.service.start();
    const ids = await Promise.all(['d1', 'd2'].map((name) => client.submit(scene.slowJob(name, 95))));
    await Promise.all(ids.map((id) => machine.until('submit', id)));
    await killHost(machine);
    await machine.service.start();
    await eventually(() => (machine.runsOf(ids[0] ?? '').length === 2 ? true : undefined));
    scene.finish('d1');
    scene.finish('d2');
    for (const id of ids) {
      expect(await ended(client, id)).toMatchObject({ state: 'completed', result: { attempt: 1 } });
      expect(machine.runsOf(id).map(({ resumed }) => resumed)).toEqual([undefined, { prompt: 'p1' }]);
      expect(machine.notes.filter((note) => note.id === id && note.event === 'submit')).toHaveLength(1);
    }
  });

  test('for good: another takes its jobs, with what was saved', async () => {
    await using scene = await Scene.open();
    const { redis, client } = scene;
    await using first = new TestMachine(redis, { config: { lockMs } });
    await first.service.start();
    const id = await client.submit(scene.slowJob('e'));
    await first.until('submit', id);
    await killHost(first);
    await using second = new TestMachine(redis, { gpu: 1, config: { lockMs } });
    await second.service.start();
    expect(await second.until('run', id)).toMatchObject({ resumed: { prompt: 'p1' } });
    scene.finish('e');
    expect(await ended(client, id)).toMatchObject({ state: 'completed', result: { engine: 'fixture_gpu1' } });
  });

  test('leaves jobs that can be cancelled before anybody took them over', async () => {
    await using scene = await Scene.open();
    const { redis, client } = scene;
    await using machine = new TestMachine(redis, { config: { lockMs: 60_000 } });
    await machine.service.start();
    const id = await client.submit(scene.slowJob('i'));
    await machine.until('submit', id);
    await killHost(machine);
    await redis.dropLock('fixture', id);
    await client.cancel(id);
    expect(await client.get(id)).toMatchObject({ state: 'cancelled' });
  });

  test('by the same job again and again gives it up', async () => {
    await using scene = await Scene.open();
    const { redis, client } = scene;
    await using machine = new TestMachine(redis, { config: { lockMs: 60_000 } });
    await machine.service.start();
    const { owner } = machine.settings;
    const id = await client.submit(scene.slowJob('j'));
    await machine.until('submit', id);
    await killHost(machine);
    await dieOften(redis.url, owner, 19);
    await machine.service.start();
    expect(await ended(client, id)).toMatchObject({
      state: 'failed',
      error: { code: 'WORKER_JOB_QUARANTINED', message: expect.stringContaining('its worker 20 times') },
    });
    expect(machine.runsOf(id)).toHaveLength(1);
  });

  test('leaves jobs that can be cancelled', async () => {
    await using scene = await Scene.open();
    const { redis, client } = scene;
    await using machine = new TestMachine(redis, { config: { lockMs: 60_000 } });
    await machine.service.start();
    const id = await client.submit(scene.slowJob('f'));
    await machine.until('submit', id);
    await killHost(machine);
    await client.cancel(id);
    await machine.service.start();
    expect(await ended(client, id)).toMatchObject({ state: 'cancelled' });
  });
});

test('two workers share a queue, and each job is done once', async () => {
  await using scene = await Scene.open();
  const { redis, client } = scene;
  await using first = new TestMachine(redis);
  await using second = new TestMachine(redis, { gpu: 1 });
  await Promise.all([first.service.start(), second.service.start()]);
  const submit = () => client.submit(fixtureJob({ does: 'steps', steps: 1, stepMs: 50 }));
  const ids = await Promise.all(Array.from({ length: 24 }, submit));
  const engines = new Set<string | undefined>();
  for (const status of await Promise.all(ids.map((id) => ended(client, id)))) engines.add(status.result?.engine);
  expect(engines).toEqual(new Set(['fixture_gpu0', 'fixture_gpu1']));
  for (const id of ids) expect([...first.runsOf(id), ...second.runsOf(id)]).toHaveLength(1);
});

test('a job that broke an engine goes to another one', async () => {
  await using scene = await Scene.open();
  const { redis, client } = scene;
  const config = { retryDelayMs: 50 };
  await using first = new TestMachine(redis, { config });
  await using second = new TestMachine(redis, { gpu: 1, config });
  await Promise.all([first.service.start(), second.service.start()]);
  const id = await client.submit(fixtureJob({ does: 'fail', fault: 'engine-fault', times: 1 }));
  const { result } = await ended(client, id);
  const runs = [...first.runsOf(id), ...second.runsOf(id)].toSorted(({ attempt: a = 0 }, { attempt: b = 0 }) => a - b);
  expect(runs.map(({ attempt }) => attempt)).toEqual([1, 2]);
  expect(new Set(runs.map(({ engine }) => engine)).size).toBe(2);
  expect(result?.engine).toBe(runs[1]?.engine);
});
