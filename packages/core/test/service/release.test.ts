import { type Logger, type Run, silentLogger } from '@mgpu/core';
import { fakeClock } from '@mgpu/core/testing';
import { describe, expect, test } from 'vitest';
import { broken, failureOf } from '../support.ts';
import { errorLog, scripted } from './scripted.ts';

describe('a run releases what it acquired', () => {
  const order = (released: string[]) => (run: Run) => {
    run.defer(() => released.push('first'));
    run.defer(async () => {
      await Promise.resolve();
      released.push('second');
    });
    run.defer(() => released.push('third'));
  };

  test('in reverse order when it is stopped', async () => {
    const released: string[] = [];
    const { service } = scripted({ onStart: order(released) });
    await service.start();
    expect(released).toEqual([]);
    await service.stop();
    expect(released).toEqual(['third', 'second', 'first']);
  });

  test('when the start fails half-way', async () => {
    const released: string[] = [];
    const { service } = scripted({
      onStart: (run) => {
        order(released)(run);
        throw broken('half-way');
      },
    });
    expect(await failureOf(service.start())).toMatchObject({ code: 'TEST_BROKEN', message: 'half-way' });
    expect(released).toEqual(['third', 'second', 'first']);
    expect(service.status).toMatchObject({ state: 'failed', reason: { code: 'TEST_BROKEN' } });
  });

  test('when it crashes', async () => {
    const released: string[] = [];
    const { service, states } = scripted({ onStart: order(released) });
    await service.start();
    service.run?.fail(broken('crashed'));
    await states.until(({ state }) => state === 'failed');
    expect(released).toEqual(['third', 'second', 'first']);
  });

  test('before its state says that it is over', async () => {
    const seen: (string | undefined)[] = [];
    const { service, states } = scripted({
      onStart: (run) => run.defer(() => seen.push(states.events.at(-1)?.state)),
    });
    await service.start();
    await service.stop();
    expect(seen).toEqual(['stopping']);
    expect(states.events.map(({ state }) => state)).toEqual(['starting', 'running', 'stopping', 'stopped']);
  });

  test('at once when the run is over already', async () => {
    const { service } = scripted();
    await service.start();
    await service.stop();
    const released = new Promise((resolve) => service.run?.defer(() => resolve('released')));
    expect(await released).toBe('released');
  });

  test('even when a late release fails, which is only logged', async () => {
    const logged = Promise.withResolvers<string>();
    const { service } = scripted({}, { log: errorLog(logged.resolve) });
    await service.start();
    await service.stop();
    service.run?.defer(() => Promise.reject(broken('late')));
    expect(await logged.promise).toBe('scripted: a late release failed');
  });

  test('that was acquired after the stop, by a start that had not heard of it yet', async () => {
    const released: string[] = [];
    const acquiring = Promise.withResolvers<void>();
    const { service } = scripted({
      onStart: async (run) => {
        run.signal.addEventListener('abort', () => acquiring.resolve());
        run.defer(() => released.push('early'));
        await acquiring.promise;
        run.defer(() => released.push('late'));
      },
    });
    const start = failureOf(service.start());
    await service.stop();
    expect(released).toEqual(['late', 'early']);
    expect(await start).toMatchObject({ code: 'CORE_START_ABORTED' });
  });

  test('and goes on when one release fails; a stop tells them all', async () => {
    const released: string[] = [];
    const { service } = scripted({
      onStart: (run) => {
        run.defer(() => released.push('first'));
        run.defer(() => Promise.reject(broken('no')));
        run.defer(() => {
          throw broken('never');
        });
      },
    });
    await service.start();
    const error = await failureOf(service.stop());
    expect(error).toMatchObject({
      code: 'CORE_STOP_INCOMPLETE',
      message: 'scripted: not everything could be released: never; no',
      cause: { errors: [{ message: 'never' }, { message: 'no' }] },
    });
    expect(released).toEqual(['first']);
    expect(service.status.state).toBe('stopped');
  });

  test('and keeps the reason of the failure when a release fails, too', async () => {
    const { service } = scripted({
      onStart: (run) => {
        run.defer(() => Promise.reject(broken('release')));
        throw broken('original');
      },
    });
    expect(await failureOf(service.start())).toMatchObject({ message: 'original' });
    expect(service.status).toMatchObject({ state: 'failed', reason: { message: 'original' } });
  });

  test('and is told how the run ended', async () => {
    const told: string[] = [];
    const { service, states } = scripted({ onStart: (run) => run.defer(({ state }) => told.push(state)) });
    await service.start();
    await service.stop();
    await service.start();
    service.run?.fail(broken('crashed'));
    await states.until(({ state }) => state === 'failed');
    expect(told).toEqual(['stopped', 'failed']);
  });

  test.each([
    ['30 s', false, 30_000],
    ['15 s once somebody forces', true, 15_000],
  ])('and waits for no release longer than %s', async (_, force, ms) => {
    const clock = fakeClock();
    const released: string[] = [];
    const logged = Promise.withResolvers<string>();
    const late = Promise.withResolvers<void>();
    const { service } = scripted(
      {
        onStart: (run) => {
          run.defer(() => released.push('first'));
          run.defer(() => late.promise);
        },
      },
      { clock, log: errorLog(logged.resolve) },
    );
    await service.start();
    const stop = failureOf(service.stop());
    await clock.advance(1);
    const forced = force ? failureOf(service.stop({ force })) : stop;
    await clock.advance(ms - 2);
    expect(released).toEqual([]);
    await clock.advance(2);
    const problems = [`a release took longer than ${ms / 1_000} s`];
    expect(await stop).toMatchObject({ code: 'CORE_STOP_INCOMPLETE', details: { problems } });
    expect(await forced).toMatchObject({ code: 'CORE_STOP_INCOMPLETE' });
    expect(released).toEqual(['first']);
    expect(service.status.state).toBe('stopped');
    expect(clock.sleepers).toBe(0);
    expect(await logged.promise).toContain('not everything could be released');
  });

  test('or as long as the release asks for', async () => {
    const clock = fakeClock();
    const { service } = scripted(
      { onStart: (run) => run.defer(() => new Promise(() => {}), { timeoutMs: 100 }) },
      { clock },
    );
    await service.start();
    const stop = failureOf(service.stop());
    await clock.advance(100);
    expect(await stop).toMatchObject({ details: { problems: ['a release took longer than 0.1 s'] } });
  });

  test('and a release that fails is no reason to stay down at a restart', async () => {
    const { service } = scripted({ onStart: (run) => run.defer(() => Promise.reject(broken('no'))) });
    await service.start();
    await service.restart();
    expect(service).toMatchObject({ starts: 2, status: { state: 'running' } });
  });

  test('and a start that was abandoned does not fail unheard', async () => {
    const clock = fakeClock();
    const warned: string[] = [];
    const log: Logger = { ...silentLogger, warn: (message) => warned.push(message) };
    const stuck = Promise.withResolvers<void>();
    const { service } = scripted({ onStart: () => stuck.promise }, { clock, log });
    const start = failureOf(service.start());
    const stop = service.stop();
    await clock.advance(5_000);
    await stop;
    expect(await start).toMatchObject({ code: 'CORE_START_ABORTED' });
    stuck.reject(broken('too late'));
    await clock.advance(0);
    expect(warned).toEqual(['scripted: its start does not heed the signal', 'scripted: its abandoned start failed']);
  });
});
