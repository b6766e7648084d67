import { type Clock, type SupervisedInstance, untilNextTry } from '@mgpu/core';
import { HungError } from './errors.ts';
import { evidenceOf } from './evidence.ts';
import type { RecoveryPolicy } from './recovery-policy.ts';

export interface LivenessOptions {
  readonly clock: Clock;
  /** Fires when the run ends. */
  readonly signal: AbortSignal;
  readonly policy: RecoveryPolicy;
  /** Differs whenever work in the instance's hand has made progress. */
  readonly progressOf: () => string;
}

/**
 * Asks one run of an instance whether it is alive, and ends it when it is not: within `failures` intervals and a timeout
 * after it stopped to answer. A start is not judged, an answer that nobody
 * could hear (`unknown`) neither; while work in hand makes progress, it lives.
 */
export async function watchLiveness(instance: SupervisedInstance, options: LivenessOptions): Promise<void> {
  const { liveness: probe } = instance;
  if (!probe) return;
  const { clock, signal, policy, progressOf } = options;
  const { intervalMs = 5_000, timeoutMs = 3_000, failures = 3 } = { ...probe, ...policy.liveness };
  const { run } = instance.status;
  const readyAt = () => (probe.orReady ? (instance.readyAt ?? 0) : 0);
  let streak = { count: 0, since: 0, progress: '' };
  let since = clock.elapsed();
  for (;;) {
    since = Math.max(since, readyAt());
    await untilNextTry(clock, { intervalMs, began: since, signal });
    if (signal.aborted) return;
    if (readyAt() > since) {
      streak.count = 0;
      continue;
    }
    since = clock.elapsed();
    const answer = await instance.askAlive({ timeoutMs, signal });
    if (signal.aborted) return;
    if (answer.outcome === 'unknown') continue;
    if (readyAt() > since) {
      // It said so while it was asked.
      streak.count = 0;
      continue;
    }
    const progress = progressOf();
    if (answer.outcome === 'ok') streak = { count: 0, since, progress };
    else if (streak.count > 0 && progress !== streak.progress) streak = { count: 1, since, progress };
    else streak = { count: streak.count + 1, since: streak.count === 0 ? since : streak.since, progress };
    if (answer.outcome === 'ok' || streak.count < failures) continue;
    const last = answer.outcome === 'fail' ? answer.reason : answer.error.message;
    const seen = await evidenceOf(instance);
    if (signal.aborted || instance.status.run !== run) return;
    const forMs = clock.elapsed() - streak.since;
    const facts = { instance: instance.id, probe: probe.probe.description, failures: streak.count, forMs, last };
    instance.fail(new HungError({ ...facts, ...seen }));
    return;
  }
}
