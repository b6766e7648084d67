import type { Clock } from '../clock.ts';

/** The share of an interval by which tries come early, at random: it keeps the probes of many instances apart. */
const jitter = 0.1;

/**
 * Resolves when a running probe is to be asked again: at most `intervalMs` after its last try began (`began`: monotonic), at
 * once after one that took longer, and when the signal fires.
 */
export async function untilNextTry(
  clock: Clock,
  { intervalMs, began, signal }: { intervalMs: number; began: number; signal: AbortSignal },
): Promise<void> {
  const due = began + intervalMs * (1 - jitter * Math.random());
  await clock.sleep(Math.max(0, due - clock.elapsed()), { signal }).catch(() => {}); // whoever waits looks at the signal
}
