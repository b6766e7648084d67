import { type Clock, MgpuError } from '@mgpu/core';
import { BusyError } from '../errors.ts';

export interface RetryTools {
  readonly clock: Clock;
  /** Failures in a row after which it is given up. */
  readonly attempts: number;
  readonly signal?: AbortSignal | undefined;
}

export interface RetryOptions {
  /** Whether the try that just failed has brought enough to begin counting anew. Default: never. */
  readonly hasHelped?: () => boolean;
  /** It is tried again after so many milliseconds. */
  readonly onRetry?: ((error: MgpuError, waitMs: number) => void) | undefined;
}

const [firstWaitMs, longestWaitMs] = [500, 30_000];

/**
 * Tries until it succeeds. What may pass is tried again after a pause that grows, and never sooner than a host that is busy has
 * asked for. Throws the last failure and the signal's reason.
 */
export async function keepTrying<T>(
  work: () => Promise<T>,
  { clock, attempts, signal }: RetryTools,
  { hasHelped = () => false, onRetry }: RetryOptions = {},
): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await work();
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof MgpuError && error.retryable)) throw error;
      if (hasHelped()) failures = 1;
      if (failures >= attempts) throw error;
      const ownMs = Math.min(longestWaitMs, firstWaitMs * 2 ** (failures - 1)) * (1 - Math.random() / 2);
      const waitMs = error instanceof BusyError ? Math.max(ownMs, error.details.waitMs) : ownMs;
      onRetry?.(error, waitMs);
      await clock.sleep(waitMs, { signal });
    }
  }
}
