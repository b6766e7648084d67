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
  readonly onRetry?: (error: MgpuError, waitMs: number) => void;
}

const firstWaitMs = 500;

/** Tries again what failed in a way that may pass, after 0.5 s, 1 s, 2 s, … of which up to a half is left to chance. */
export async function retrying<T>(
  work: () => Promise<T>,
  { attempts, clock, signal, onRetry }: RetryOptions,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof MgpuError && error.retryable) || attempt >= attempts) throw error;
      const waitMs = firstWaitMs * 2 ** (attempt - 1) * (1 - Math.random() / 2);
      onRetry?.(error, waitMs);
      await clock.sleep(waitMs, { signal });
    }
  }
}
