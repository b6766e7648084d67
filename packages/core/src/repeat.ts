import type { Clock } from './clock.ts';
import { MgpuError } from './errors/mgpu-error.ts';

/** Does something with each, a few at a time, in order of the list. What is thrown ends it. */
export async function forEachBounded<T>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  let failed = false;
  const lane = async () => {
    for (let item = queue.shift(); item !== undefined && !failed; item = queue.shift()) {
      try {
        await work(item);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: Math.min(width, items.length) }, lane));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}

export interface RetryOptions {
  /** How often it is tried in all. */
  readonly attempts: number;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
  readonly onRetry?: ((error: MgpuError, waitMs: number) => void) | undefined;
  /** Whether the try that just failed has brought enough to begin counting anew. Default: never. */
  readonly hasHelped?: (() => boolean) | undefined;
  /** Milliseconds that have to pass before it is tried again, whatever the pause would be. Default: none. */
  readonly leastWaitMs?: ((error: MgpuError) => number) | undefined;
}

const [firstWaitMs, longestWaitMs] = [500, 30_000];

/**
 * Tries again what failed in a way that may pass, after 0.5 s, 1 s, 2 s, … up to 30 s, of which up to a half is left to chance.
 * Throws the last failure and the signal's reason.
 */
export async function retrying<T>(
  work: () => Promise<T>,
  { attempts, clock, signal, onRetry, hasHelped, leastWaitMs }: RetryOptions,
): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await work();
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof MgpuError && error.retryable)) throw error;
      if (hasHelped?.()) failures = 1;
      if (failures >= attempts) throw error;
      const pauseMs = Math.min(longestWaitMs, firstWaitMs * 2 ** (failures - 1)) * (1 - Math.random() / 2);
      const waitMs = Math.max(pauseMs, leastWaitMs?.(error) ?? 0);
      onRetry?.(error, waitMs);
      await clock.sleep(waitMs, { signal });
    }
  }
}
