import type { Clock } from '@mgpu/core/jobs';

/** Resolves after `ms`, or sooner: when `until` does or the signal fires. */
export async function pause(
  clock: Clock,
  ms: number,
  { until, signal }: { until: Promise<unknown>; signal?: AbortSignal },
): Promise<void> {
  const over = new AbortController();
  const slept = clock.sleep(ms, { signal: AbortSignal.any(signal ? [signal, over.signal] : [over.signal]) });
  await Promise.race([slept.catch(() => {}), until]); // aborted: it is over
  over.abort();
}
