import type { Clock } from '../clock.ts';

interface Sleeper {
  readonly at: number;
  readonly wake: () => void;
}

/** A clock that stands still until it is told. */
export interface FakeClock extends Clock {
  /** Moves on by `ms`, waking sleepers in order and letting what they do happen before the next one. */
  advance(ms: number): Promise<void>;
  /** How many are asleep. */
  readonly sleepers: number;
}

export interface FakeClockOptions {
  /** Lets what was woken go on, before time does. Default: one turn of the event loop. */
  readonly settle?: () => Promise<void>;
}

/** Starts at 2026-01-01T00:00:00Z. */
export function fakeClock({ settle = nextTurn }: FakeClockOptions = {}): FakeClock {
  const epoch = Date.UTC(2026, 0, 1);
  let elapsed = 0;
  let sleeping: Sleeper[] = [];
  return {
    now: () => epoch + elapsed,
    elapsed: () => elapsed,
    get sleepers() {
      return sleeping.length;
    },
    sleep: (ms, { signal } = {}) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const onAbort = () => {
          sleeping = sleeping.filter((each) => each !== sleeper);
          reject(signal?.reason);
        };
        const wake = () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        };
        const sleeper: Sleeper = { at: elapsed + ms, wake };
        sleeping.push(sleeper);
        signal?.addEventListener('abort', onAbort, { once: true });
      }),
    async advance(ms) {
      const end = elapsed + ms;
      await settle();
      for (;;) {
        const next = sleeping.filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)[0];
        if (!next) break;
        sleeping = sleeping.filter((each) => each !== next);
        elapsed = Math.max(elapsed, next.at);
        next.wake();
        await settle();
      }
      elapsed = end;
      await settle();
    },
  };
}

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));
