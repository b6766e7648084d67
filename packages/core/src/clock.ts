/** Time as a dependency, so that tests can drive it. The only place that touches timers. */
export interface Clock {
  /** Wall clock, milliseconds since the epoch: for people and records, never for measuring. */
  now(): number;
  /** Monotonic milliseconds since the host started: for measuring; unaffected by changes of the wall clock. */
  elapsed(): number;
  /** Resolves after `ms`; rejects with the signal's reason when aborted. */
  sleep(ms: number, options?: { signal?: AbortSignal | undefined }): Promise<void>;
}

// Unlike `performance.now()` the same for all processes of the host, and cheaper to ask than `process.hrtime` is.
const originMs = Number(process.hrtime.bigint()) / 1e6 - performance.now();

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => originMs + performance.now(),
  sleep: (ms, { signal } = {}) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = () => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      }, ms);
      signal?.addEventListener('abort', onAbort, { once: true });
    }),
};

/** A signal that fires at the first of: the given signals, the deadline on this clock. Dispose it to drop the timer. */
export function deadline(
  clock: Clock,
  ms: number,
  reason: () => unknown,
  parent?: AbortSignal | undefined,
): { readonly signal: AbortSignal; [Symbol.dispose](): void } {
  const timer = new AbortController();
  const expired = new AbortController();
  const signal = parent ? AbortSignal.any([parent, expired.signal]) : expired.signal;
  clock.sleep(ms, { signal: timer.signal }).then(
    () => expired.abort(reason()),
    () => {}, // disposed before the deadline
  );
  return { signal, [Symbol.dispose]: () => timer.abort() };
}

/** Settles as `work` does, or rejects with the signal's reason as soon as it fires. `work` itself is not stopped. */
export async function abortable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
