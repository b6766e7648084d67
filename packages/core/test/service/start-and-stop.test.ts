import { describe, expect, test } from 'vitest';
import { broken, failureOf, seeded } from '../support.ts';
import { scripted } from './scripted.ts';

describe('starting and stopping', () => {
  test('constructing does nothing', () => {
    const { service } = scripted();
    expect(service.status).toEqual({
      id: 'scripted',
      kind: 'scripted',
      state: 'stopped',
      health: 'unknown',
      since: expect.any(String),
    });
    expect(service.starts).toBe(0);
  });

  test('a second start shares the first', async () => {
    const { service } = scripted();
    await Promise.all([service.start(), service.start()]);
    await service.start();
    expect(service.starts).toBe(1);
  });

  test('a start that is asked for by whoever hears of the first shares that', async () => {
    const { service } = scripted();
    const inner: Promise<string>[] = [];
    service.on('status', ({ state }) => {
      if (state === 'starting') inner.push(service.start().then(() => service.status.state));
    });
    await service.start();
    expect(await Promise.all(inner)).toEqual(['running']);
  });

  test('a start after a failure is a new run', async () => {
    let attempts = 0;
    const { service } = scripted({
      onStart: () => {
        if (++attempts === 1) throw new TypeError('not yet');
      },
    });
    expect(await failureOf(service.start())).toMatchObject({
      code: 'CORE_UNEXPECTED',
      message: 'scripted: the start failed: not yet',
      cause: expect.any(TypeError),
    });
    await service.start();
    expect(service.status).toMatchObject({ state: 'running', health: 'ready' });
  });

  test('a start may be asked for by whoever hears of the failure', async () => {
    let attempts = 0;
    const { service } = scripted({
      onStart: () => {
        if (++attempts === 1) throw broken('not yet');
      },
    });
    const again = Promise.withResolvers<void>();
    service.on('status', ({ state }) => state === 'failed' && again.resolve(service.start()));
    await failureOf(service.start());
    await again.promise;
    expect(service.status.state).toBe('running');
  });

  test('a stop of what never ran is fine', async () => {
    const { service } = scripted();
    await service.stop();
    expect(service.status.state).toBe('stopped');
  });

  test('a fired signal keeps anything from being started', async () => {
    const { service } = scripted();
    expect(await failureOf(service.start({ signal: AbortSignal.abort() }))).toMatchObject({
      code: 'CORE_START_ABORTED',
      message: 'scripted: the start was cancelled',
    });
    expect(service.starts).toBe(0);
    expect(service.status.state).toBe('stopped');
  });

  test('a signal that fires cancels the start', async () => {
    const controller = new AbortController();
    const { service } = scripted({
      onStart: (run) => new Promise((_, no) => run.signal.addEventListener('abort', no)),
    });
    const start = failureOf(service.start({ signal: controller.signal }));
    controller.abort();
    expect(await start).toMatchObject({ code: 'CORE_START_ABORTED' });
    expect(service.live).toBe(0);
  });

  test('whoever joins a start can leave it, and that goes on', async () => {
    const acquired = Promise.withResolvers<void>();
    const { service } = scripted({ onStart: () => acquired.promise });
    const start = service.start();
    const controller = new AbortController();
    const joined = failureOf(service.start({ signal: controller.signal }));
    controller.abort();
    expect(await joined).toMatchObject({ code: 'CORE_START_ABORTED' });
    acquired.resolve();
    await start;
    expect(service.status.state).toBe('running');
  });

  test('a signal that fires after the start changes nothing', async () => {
    const controller = new AbortController();
    const { service } = scripted();
    await service.start({ signal: controller.signal });
    controller.abort();
    expect(service.status.state).toBe('running');
  });

  test('the last of start, stop, start wins', async () => {
    const { service } = scripted();
    const first = failureOf(service.start());
    const stop = service.stop();
    await service.start();
    expect(service.status.state).toBe('running');
    expect(await first).toMatchObject({ code: 'CORE_START_ABORTED' });
    await stop;
    expect(service).toMatchObject({ starts: 2, live: 1 });
  });

  test('the last of stop, start, stop wins', async () => {
    const { service } = scripted();
    await service.start();
    void service.stop();
    const start = failureOf(service.start());
    await service.stop();
    expect(await start).toMatchObject({ code: 'CORE_START_ABORTED' });
    expect(service.status.state).toBe('stopped');
    expect(service.live).toBe(0);
  });

  test('a stop during a restart wins', async () => {
    const { service } = scripted();
    await service.start();
    const restart = failureOf(service.restart());
    await service.stop();
    expect(await restart).toMatchObject({ code: 'CORE_START_ABORTED' });
    expect(service.status.state).toBe('stopped');
  });

  test('two restarts at once make one', async () => {
    const { service } = scripted();
    await service.start();
    await Promise.all([service.restart(), service.restart()]);
    expect(service).toMatchObject({ starts: 2, live: 1 });
  });

  test('a restart during a start begins a new run', async () => {
    const { service } = scripted();
    const start = failureOf(service.start());
    await service.restart();
    expect(await start).toMatchObject({ code: 'CORE_START_ABORTED' });
    expect(service.status.state).toBe('running');
  });

  test('leaving the scope stops it', async () => {
    const { service } = scripted();
    {
      await using held = service;
      await held.start();
    }
    expect(service.status.state).toBe('stopped');
  });

  test('in any order, many at once, end as the last of them says and never run twice', async () => {
    // The order is random but written down by its seed, so that a failure can be repeated.
    for (let seed = 1; seed <= 300; seed++) {
      const random = seeded(seed);
      let most = 0;
      const { service } = scripted({
        onStart: async (run) => {
          for (let n = random(4); n > 0; n--) await Promise.resolve();
          if (random(5) === 0) throw broken('by chance');
          run.defer(() => new Promise((resolve) => setImmediate(resolve)));
        },
      });
      service.on('status', () => {
        most = Math.max(most, service.live);
      });
      const asked: Promise<unknown>[] = [];
      const names: string[] = [];
      for (let n = 0; n < 8; n++) {
        const name = (['start', 'stop', 'restart'] as const)[random(3)] ?? 'start';
        names.push(name);
        asked.push(service[name]().catch(() => {})); // cancelled by a later one, or by chance
        for (let ticks = random(4); ticks > 0; ticks--) await new Promise((resolve) => setImmediate(resolve));
      }
      await Promise.all(asked);
      const text = `seed ${seed}: ${names.join(', ')}`;
      expect(most, text).toBeLessThanOrEqual(1);
      if (names.at(-1) === 'stop') expect(service.status.state, text).toBe('stopped');
      else expect(['running', 'failed'], text).toContain(service.status.state);
      expect(service.live, text).toBe(service.status.state === 'running' ? 1 : 0);
      await service.stop();
      expect(service.live, text).toBe(0);
    }
  });
});

describe('a one-shot', () => {
  test('has started when it completed', async () => {
    const { service, states } = scripted({ onStart: (run) => run.complete() });
    await service.start();
    expect(states.events.map(({ state }) => state)).toEqual(['starting', 'cleaning', 'completed']);
    expect(service.live).toBe(0);
  });

  test('can be stopped and run again', async () => {
    const { service } = scripted({ onStart: (run) => run.complete() });
    await service.start();
    await service.stop();
    expect(service.status.state).toBe('stopped');
    await service.start();
    expect(service).toMatchObject({ starts: 2, status: { state: 'completed' } });
  });

  test('that is stopped while it completes is stopped', async () => {
    const { service } = scripted();
    await service.start();
    service.run?.complete();
    await service.stop();
    expect(service.status.state).toBe('stopped');
  });

  test('only its first end counts', async () => {
    const { service, states } = scripted();
    await service.start();
    service.run?.complete();
    service.run?.fail(broken('too late'));
    await states.until(({ state }) => state === 'completed');
    expect(service.status.reason).toBeUndefined();
  });
});
