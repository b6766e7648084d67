import { describe, expect, test } from 'vitest';
import { ended, eventually, fixtureJob, Scene, TestMachine } from './harness.ts';

describe.concurrent('a worker with a job', () => {
  test('leaves the next one to a worker that has none', async () => {
    await using scene = await Scene.open();
    const { redis, client } = scene;
    await using first = new TestMachine(redis, { gpu: 0 });
    await using second = new TestMachine(redis, { gpu: 1 });
    await Promise.all([first.service.start(), second.service.start()]);
    const ids = await Promise.all(['a', 'b'].map((name) => client.submit(scene.slowJob(name))));
    for (const id of ids)
      await eventually(() => (first.runsOf(id).length + second.runsOf(id).length > 0 ? true : undefined));
    scene.finish('a');
    scene.finish('b');
    const engines = (await Promise.all(ids.map((id) => ended(client, id)))).map(({ result }) => result?.engine);
    expect(engines.toSorted()).toEqual(['fixture_gpu0', 'fixture_gpu1']);
  });

  test('that may take long takes no other, so that whoever is free first gets it', async () => {
    await using scene = await Scene.open();
    const { redis, client } = scene;
    await using first = new TestMachine(redis, { gpu: 0 });
    await first.service.start();
    const long = await client.submit(scene.slowJob('long'));
    await first.until('submit', long);
    const next = await client.submit(fixtureJob({}));
    await using second = new TestMachine(redis, { gpu: 1 });
    await second.service.start();
    expect(await ended(client, next)).toMatchObject({ result: { engine: 'fixture_gpu1' } });
    scene.finish('long');
    await ended(client, long);
  });

  test('that is about to end takes the next one ahead of time, and no more than it may', async () => {
    await using scene = await Scene.open();
    const { redis, client } = scene;
    await using machine = new TestMachine(redis, { config: { concurrency: 2 } });
    await machine.service.start();
    const ids = await Promise.all(['a', 'b', 'c'].map((name) => client.submit(scene.slowJob(name, 95))));
    const submitted = await eventually(() => {
      const there = ids.filter((id) => machine.notes.some((note) => note.id === id && note.event === 'submit'));
      return there.length === 2 ? there : undefined;
    });
    const [waiting = ''] = ids.filter((id) => !submitted.includes(id));
    expect(await client.get(waiting)).toMatchObject({ state: 'waiting' });
    for (const name of ['a', 'b', 'c']) scene.finish(name);
    for (const id of ids) expect(await ended(client, id)).toMatchObject({ state: 'completed' });
  });
});
