import type { InstanceStatus, MgpuError, SupervisedInstance } from '@mgpu/core';
import { fakeClock } from '@mgpu/core/testing';
import { expect, test } from 'vitest';
import { watchdogSchema } from './config.ts';
import { recoveryPolicy } from './recovery-policy.ts';
import { watchLiveness } from './watch-liveness.ts';

test('one that does not answer any more is ended within its budget, though each try takes all its time', async () => {
  const clock = fakeClock();
  const ended: { at: number; error: MgpuError }[] = [];
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
    liveness: { probe, intervalMs: 1_000, timeoutMs: 1_000, failures: 3 },
    async askAlive({ timeoutMs }) {
      await clock.sleep(timeoutMs);
      return { outcome: 'fail', reason: 'no answer' };
    },
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
  const watching = watchLiveness(instance, { clock, signal: over.signal, policy, progressOf: () => '' });
  for (let seconds = 0; seconds < 60 && ended.length === 0; seconds += 0.1) await clock.advance(100);
  await watching;
  expect(ended).toMatchObject([{ error: { code: 'WATCHDOG_HUNG' } }]);
  expect(ended[0]?.at).toBeLessThanOrEqual(3 * 1_000 + 1_000);
});
