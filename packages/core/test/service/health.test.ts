import { probeFail, probeOk } from '@mgpu/core';
import { fakeClock } from '@mgpu/core/testing';
import { describe, expect, test } from 'vitest';
import { broken } from '../support.ts';
import { errorLog, scripted } from './scripted.ts';

describe('health', () => {
  test('without anybody to ask is ready while it runs', async () => {
    const { service } = scripted();
    expect(await service.health()).toMatchObject({ health: 'unknown', reason: 'stopped' });
    await service.start();
    expect(await service.health()).toMatchObject({ health: 'ready', checkedAt: expect.any(String) });
  });

  test('is what the service says, with the reason', async () => {
    const { service } = scripted();
    await service.start();
    service.run?.setHealth('degraded', 'redis is away');
    expect(service.status).toMatchObject({
      state: 'running',
      health: 'degraded',
      reason: { message: 'redis is away' },
    });
    expect(await service.health()).toMatchObject({ health: 'degraded', reason: 'redis is away' });
  });

  test('said while starting is kept, with the reason', async () => {
    const { service } = scripted({ onStart: (run) => run.setHealth('notReady', 'redis is away') });
    await service.start();
    expect(service.status).toMatchObject({
      state: 'running',
      health: 'notReady',
      reason: { message: 'redis is away' },
    });
  });

  test('follows the readiness probe', async () => {
    let answer = probeFail('warming up');
    const probe = { description: 'the answer', attempt: async () => answer };
    const { service, states } = scripted({
      probes: { readiness: { probe, intervalMs: 5, timeoutMs: 1_000, failures: 1 } },
    });
    await service.start();
    await states.until(({ health }) => health === 'notReady');
    expect(service.status).toMatchObject({ state: 'running', reason: { message: 'warming up' } });
    expect(await service.health()).toMatchObject({ health: 'notReady', reason: 'warming up' });
    answer = probeOk;
    await states.until(({ health }) => health === 'ready');
    expect(service.status.reason).toBeUndefined();
    await service.stop();
  });

  test('is asked for before the service says that it runs', async () => {
    const probe = { description: 'the answer', attempt: async () => probeFail('warming up') };
    const startup = { probe: { description: 'it listens', attempt: async () => probeOk }, deadlineMs: 1_000 };
    const { service, states } = scripted({ probes: { startup, readiness: { probe } } });
    await service.start();
    expect(states.events.find(({ state }) => state === 'running')).toMatchObject({
      health: 'notReady',
      reason: { message: 'warming up' },
    });
    await service.stop();
  });

  test('is the worse of what the service and its probe say, until they take it back', async () => {
    const clock = fakeClock();
    let answer = probeOk;
    const probe = { description: 'the answer', attempt: async () => answer };
    const readiness = { probe, intervalMs: 1_000, failures: 1 };
    const { service } = scripted({ probes: { readiness } }, { clock });
    await service.start();
    service.run?.setHealth('degraded', 'redis is away');
    await clock.advance(5_000);
    expect(service.status).toMatchObject({ health: 'degraded', reason: { message: 'redis is away' } });
    answer = probeFail('no answer');
    await clock.advance(5_000);
    expect(service.status).toMatchObject({ health: 'notReady', reason: { message: 'no answer' } });
    answer = probeOk;
    await clock.advance(5_000);
    expect(service.status).toMatchObject({ health: 'degraded', reason: { message: 'redis is away' } });
    expect(await service.health()).toMatchObject({ health: 'degraded', reason: 'redis is away' });
    service.run?.setHealth('ready');
    expect(service.status.health).toBe('ready');
    expect(service.status.reason).toBeUndefined();
    await service.stop();
  });

  test('is told to nobody before it runs', async () => {
    const probe = { description: 'the answer', attempt: async () => probeOk };
    const { service, states } = scripted({
      onStart: (run) => run.setHealth('ready'),
      probes: { readiness: { probe } },
    });
    await service.start();
    await service.stop();
    expect(states.events.map(({ state, health }) => `${state} ${health}`)).toEqual([
      'starting unknown',
      'running ready',
      'stopping unknown',
      'stopped unknown',
    ]);
  });

  test('counts from its last change, whatever the reasons since', async () => {
    const clock = fakeClock();
    const { service, states } = scripted({}, { clock });
    await service.start();
    await clock.advance(1_000);
    service.run?.setHealth('degraded', 'one job waits');
    const { since } = service.status;
    await clock.advance(1_000);
    service.run?.setHealth('degraded', 'two jobs wait');
    service.run?.setHealth('degraded', 'two jobs wait');
    expect(service.status).toMatchObject({ since, reason: { message: 'two jobs wait' } });
    expect(states.events.filter(({ health }) => health === 'degraded')).toHaveLength(2);
    service.run?.setHealth('ready');
    expect(service.status.since).not.toBe(since);
  });

  test('is not asked for any more after the end', async () => {
    const clock = fakeClock();
    let asked = 0;
    const probe = {
      description: 'the answer',
      attempt: async () => {
        asked += 1;
        return probeOk;
      },
    };
    const { service } = scripted({ probes: { readiness: { probe, intervalMs: 1_000 } } }, { clock });
    await service.start();
    await clock.advance(10_000);
    expect(asked).toBeGreaterThan(8);
    await service.stop();
    expect(clock.sleepers).toBe(0);
  });
});

describe('listeners', () => {
  test('that throw or reject harm nobody and are logged', async () => {
    const logged: string[] = [];
    const { service } = scripted({}, { log: errorLog((text) => logged.push(text)) });
    service.on('status', () => {
      throw broken('a bad listener');
    });
    service.on('status', () => Promise.reject(broken('a bad listener')));
    await service.start();
    await service.stop();
    expect(logged).toHaveLength(8);
    expect(new Set(logged)).toEqual(new Set(["a listener of scripted's status failed"]));
  });

  test('hear nothing once they unsubscribed', async () => {
    const { service } = scripted();
    let heard = 0;
    const off = service.on('status', () => {
      heard += 1;
    });
    await service.start();
    off();
    await service.stop();
    expect(heard).toBe(2);
  });
});
