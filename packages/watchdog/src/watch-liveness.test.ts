import type { InstanceStatus, MgpuError, SupervisedInstance } from '@mgpu/core';
import { fakeClock } from '@mgpu/core/testing';
import { expect, test } from 'vitest';
import { watchdogSchema } from './config.ts';
import { recoveryPolicy } from './recovery-policy.ts';
import { watchLiveness } from './watch-liveness.ts';

const timings = { intervalMs: 1_000, timeoutMs: 1_000, failures: 3 };

/** Follows one that answers no try of its liveness probe until it is ended; `readyAt` is when it last said that it is ready. */
async function followSilent({
  orReady = false,
  readyAt = () => 0,
}: {
  orReady?: boolean;
  readyAt?: (now: number) => number;
}) {
  const clock = fakeClock();
  const ended: { at: number; error: MgpuError }[] = [];
  const asked: number[] = [];
  const over = new AbortController();
  const probe = { description: 'it', attempt: () => new Promise<never>(() => {}) };
  const instance: SupervisedInstance = {
    id: 'it',
    kind: 'it',
    gpu: undefined,
    dir: '/nowhere',
    logFile: undefined,
    status: { run: 'first' } as InstanceStatus,
    supervision: {},
    liveness: { probe, orReady, ...timings },
    get readyAt() {
      return readyAt(clock.elapsed());
    },
    async askAlive({ timeoutMs, signal }) {
      asked.push(clock.elapsed());
      await clock.sleep(timeoutMs, { signal }).catch(() => {}); // it is over
      return { outcome: 'fail', reason: 'no answer' };
    },
    workTotals: () => undefined,
    observations: () => [],
    relieve: async () => false,
    fail(error) {
      ended.push({ at: clock.elapsed(), error });
      over.abort();
      return true;
    },
    restart: async () => {},
    retry: () => {},
    giveUp: () => false,
    hold: async () => {},
    release: () => {},
  };
  const policy = recoveryPolicy(watchdogSchema.parse({}), instance);
  const began = clock.elapsed();
  const watching = watchLiveness(instance, { clock, signal: over.signal, policy, progressOf: () => '' });
  for (let seconds = 0; seconds < 60 && ended.length === 0; seconds += 0.1) await clock.advance(100);
  over.abort();
  await watching;
  return {
    asked: asked.map((at) => at - began),
    ended: ended.map(({ at, error }) => ({ afterMs: at - began, error })),
  };
}

test('one that does not answer any more is ended within its budget, though each try takes all its time', async () => {
  const { ended } = await followSilent({});
  expect(ended).toMatchObject([{ error: { code: 'WATCHDOG_HUNG' } }]);
  expect(ended[0]?.afterMs).toBeLessThanOrEqual(3 * 1_000 + 1_000);
});

test('one that keeps saying that it is ready is not asked whether it lives', async () => {
  const { asked, ended } = await followSilent({ orReady: true, readyAt: (now) => now - 300 });
  expect({ asked, ended }).toEqual({ asked: [], ended: [] });
});

test('one that stops saying so is asked, and ended within its budget from its last answer', async () => {
  let last: number | undefined;
  const { asked, ended } = await followSilent({
    orReady: true,
    readyAt: (now) => {
      last ??= now + 10_300;
      return Math.min(now, last);
    },
  });
  expect(ended).toMatchObject([{ error: { code: 'WATCHDOG_HUNG' } }]);
  expect(asked[0]).toBeGreaterThan(10_300);
  expect(ended[0]?.afterMs).toBeLessThanOrEqual(10_300 + 3 * 1_000 + 1_000);
});

test('where readiness is no answer of the process, it does not count', async () => {
  const { ended } = await followSilent({ readyAt: (now) => now });
  expect(ended).toMatchObject([{ error: { code: 'WATCHDOG_HUNG' } }]);
});

test('one that says so only while it is asked lives', async () => {
  const { asked, ended } = await followSilent({ orReady: true, readyAt: (now) => Math.floor(now / 1_900) * 1_900 });
  expect(asked.length).toBeGreaterThan(10);
  expect(ended).toEqual([]);
});
