import type { Clock } from '@mgpu/core';
import { StalledError } from '../errors.ts';

/** How fast bytes have to come. */
export interface FlowLimit {
  readonly seconds: number;
  /** On average over that time. */
  readonly bytesPerSecond: number;
}

/**
 * Watches how a download comes: `signal` fires with `MODELS_STALLED` when a window of time brought too little, whether
 * nothing or a trickle, and with the parent's reason. Disposing ends the watch.
 */
export function watchFlow(
  url: string,
  { seconds, bytesPerSecond }: FlowLimit,
  { clock, parent }: { readonly clock: Clock; readonly parent: AbortSignal | undefined },
): Disposable & { readonly signal: AbortSignal; count(bytes: number): void } {
  const over = new AbortController();
  const stalled = new AbortController();
  const least = Math.max(1, seconds * bytesPerSecond);
  let bytes = 0;
  const watch = async () => {
    for (;;) {
      bytes = 0;
      await clock.sleep(seconds * 1_000, { signal: over.signal });
      if (bytes < least) return stalled.abort(new StalledError({ url, bytes, seconds }));
    }
  };
  watch().catch(() => {}); // ended by being disposed of
  return {
    signal: parent ? AbortSignal.any([parent, stalled.signal]) : stalled.signal,
    count: (more) => {
      bytes += more;
    },
    [Symbol.dispose]: () => over.abort(),
  };
}

const windowMs = 5_000;

/** How fast bytes came over the last five seconds. */
export class RateMeter {
  readonly #clock: Pick<Clock, 'elapsed'>;
  readonly #samples: { readonly at: number; readonly total: number }[] = [];

  constructor(clock: Pick<Clock, 'elapsed'>) {
    this.#clock = clock;
  }

  /** `total`: bytes that have come so far. */
  mark(total: number): void {
    const at = this.#clock.elapsed();
    this.#samples.push({ at, total });
    while (this.#samples.length > 2 && (this.#samples[1]?.at ?? at) < at - windowMs) this.#samples.shift();
  }

  /** Bytes a second; undefined until there is something to go by. */
  get bytesPerSecond(): number | undefined {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (!first || !last || last.at - first.at < 100) return undefined;
    return ((last.total - first.total) / (last.at - first.at)) * 1_000;
  }
}
