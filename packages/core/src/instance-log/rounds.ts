import type { Clock } from '../clock.ts';

/** Milliseconds between two looks at a log that is written: how exact its times are. */
export const roundMs = 1_000;

/** Rounds between two looks at a log that nobody writes, at most. */
export const quietRounds = 5;

interface Visited {
  look(): void;
}

/** One timer for all logs that are kept by the same clock, and one copy at a time. */
export class Rounds {
  static readonly #all = new WeakMap<Clock, Rounds>();
  readonly #visited = new Set<Visited>();
  readonly #clock: Clock;
  #ended = new AbortController();
  #turn: Promise<void> = Promise.resolve();

  static of(clock: Clock): Rounds {
    const rounds = Rounds.#all.get(clock) ?? new Rounds(clock);
    Rounds.#all.set(clock, rounds);
    return rounds;
  }

  private constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(visited: Visited): void {
    this.#visited.add(visited);
    if (this.#visited.size > 1) return;
    this.#ended = new AbortController();
    void this.#go(this.#ended.signal);
  }

  remove(visited: Visited): void {
    this.#visited.delete(visited);
    if (this.#visited.size === 0) this.#ended.abort();
  }

  /** Copies fill the disk's queue and a thread: several at once would not be faster. `work` rejects never. */
  oneAtATime(work: () => Promise<void>): void {
    this.#turn = this.#turn.then(work);
  }

  async #go(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#clock.sleep(roundMs, { signal }).catch(() => {}); // nobody is left
      if (!signal.aborted) for (const each of this.#visited) each.look();
    }
  }
}
