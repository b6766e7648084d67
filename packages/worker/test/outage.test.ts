import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { ended, fixtureJob, Scene, TestMachine } from './harness.ts';

/** The shortest there is. */
const lockMs = 1_000;

describe.concurrent('Redis that goes away', () => {
  for (const [length, outageMs] of [
    ['shortly', 0],
    ['longer than the lock lasts', 1_500],
  ] as const) {
    test(`${length} while a job runs: its result arrives, once`, async () => {
      await using scene = await Scene.open();
      const { redis, client } = scene;
      await using machine = new TestMachine(redis, { config: { lockMs } });
      await using other = new TestMachine(redis, { gpu: 1, config: { lockMs } });
      await machine.service.start();
      const id = await client.submit(scene.slowJob('g'));
      await machine.until('submit', id);
      await other.service.start();
      const watching = ended(client, id);
      const late = client.submit(fixtureJob({}));
      await late;
      await redis.kill();
      scene.finish('g');
      await machine.until('done', id);
      await sleep(outageMs); // how long the outage lasts is the case itself
      await redis.up();
      expect(await watching).toMatchObject({ state: 'completed', result: { engine: 'fixture_gpu0', attempt: 1 } });
      expect([...machine.runsOf(id), ...other.runsOf(id)]).toHaveLength(1);
      expect(await ended(client, await client.submit(fixtureJob({})))).toMatchObject({ state: 'completed' });
    });
  }

  test('while the job goes on running: it is not taken by another when Redis is back', async () => {
    await using scene = await Scene.open();
    const { redis, client } = scene;
    await using machine = new TestMachine(redis, { config: { lockMs } });
    await using other = new TestMachine(redis, { gpu: 1, config: { lockMs } });
    await machine.service.start();
    const id = await client.submit(scene.slowJob('h'));
    await machine.until('submit', id);
    await other.service.start();
    await redis.kill();
    await sleep(1_500); // longer than the lock lasts
    await redis.up();
    await machine.untilStatus(({ redis: { state } }) => state === 'connected');
    await sleep(2_000); // long enough for the other to find an unlocked job, were there one
    scene.finish('h');
    expect(await ended(client, id)).toMatchObject({ state: 'completed', result: { engine: 'fixture_gpu0' } });
    expect(other.runsOf(id)).toEqual([]);
  });
});
