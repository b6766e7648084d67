import type { Clock } from '../clock.ts';

/** Milliseconds by which a timer may fire early or late without a try's losing its turn. */
const slackMs = 20;
/** Milliseconds by which tries come early at most: those of many instances come together, which costs half of what each alone does. */
const gridMs = 1_000;

/**
 * Resolves when a running probe is to be asked again: `intervalMs` after its last try began at most (`began`: monotonic), at
 * once after one that took longer, and when the signal fires.
 */
export async function untilNextTry(
  clock: Clock,
  { intervalMs, began, signal }: { intervalMs: number; began: number; signal: AbortSignal },
): Promise<void> {
  const latest = began + intervalMs;
  const due = intervalMs < 2 * gridMs ? latest : Math.floor((latest + slackMs) / gridMs) * gridMs;
  await clock.sleep(Math.max(0, due - clock.elapsed()), { signal }).catch(() => {}); // whoever waits looks at the signal
}
