import { describe, expect, test } from 'vitest';
import { ended, fixtureJob, Scene, TestMachine } from './harness.ts';

/** The shortest there is. */
const lockMs = 3_000;

/** A worker with a job in hand, and another one that would take it. */
async function twoWorkers(scene: Scene, name: string) {
  const machine = new TestMachine(scene.redis, { config: { lockMs } });
  const other = new TestMachine(scene.redis, { gpu: 1, config: { lockMs } });
  await machine.service.start();
  const id = await scene.client.submit(scene.slowJob(name));
  await machine.until('submit', id);
  await other.service.start();
  return { machine, other, id };
}

describe.concurrent('Redis that goes away', () => {
  for (const [length, isLong] of [
    ['shortly', false],
    ['longer than the lock lasts', true],
  ] as const) {
    test(`${length} while a job runs: its result arrives, once, and what came just before is done, too`, async () => {
      await using scene = await Scene.open();
      const { redis, client } = scene;
      const { machine, other, id } = await twoWorkers(scene, 'g');
      await using _machine = machine;
      await using _other = other;
      const watching = ended(client, id);
      const further = await client.submit(scene.slowJob('g'));
      if (isLong) await redis.dropLock('fixture', id);
      await redis.kill();
      scene.finish('g');
      await machine.until('done', id);
      await redis.up();
      expect(await watching).toMatchObject({ state: 'completed', result: { engine: 'fixture_gpu0', attempt: 1 } });
      expect([...machine.runsOf(id), ...other.runsOf(id)]).toHaveLength(1);
      expect(await ended(client, further)).toMatchObject({ state: 'completed' });
      expect(await ended(client, await client.submit(fixtureJob({})))).toMatchObject({ state: 'completed' });
    });
  }

  test('while the job goes on running: it is not taken by another when Redis is back', async () => {
    await using scene = await Scene.open();
    const { redis, client } = scene;
    const { machine, other, id } = await twoWorkers(scene, 'h');
    await using _machine = machine;
    await using _other = other;
    await redis.dropLock('fixture', id);
    await redis.kill();
    await redis.up();
    await redis.untilStalledChecks('fixture', 3);
    scene.finish('h');
    expect(await ended(client, id)).toMatchObject({ state: 'completed', result: { engine: 'fixture_gpu0' } });
    expect(other.runsOf(id)).toEqual([]);
  });

  test('without a word: that is noticed, and its jobs are kept', async () => {
    await using scene = await Scene.open();
    const { redis, client } = scene;
    const { machine, other, id } = await twoWorkers(scene, 'l');
    await using _machine = machine;
    await using _other = other;
    redis.pause();
    await machine.untilStatus(({ redis: { state } }) => state === 'unreachable');
    redis.resume();
    await machine.untilStatus(({ redis: { state } }) => state === 'connected');
    scene.finish('l');
    expect(await ended(client, id)).toMatchObject({ state: 'completed', result: { engine: 'fixture_gpu0' } });
    expect(other.runsOf(id)).toEqual([]);
  });
});
