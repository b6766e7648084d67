import { type AttemptOutcome, type AttemptTotals, type Clock, durationBounds, type IdleTotals } from '@mgpu/core/jobs';

/** Counts what becomes of the jobs of one engine, and how long it has none though there are some. */
export class Tally {
  readonly #engine: string;
  readonly #clock: Clock;
  readonly #attempts = new Map<string, AttemptTotals>();
  #working = 0;
  /** When the engine had nothing to do any more, in milliseconds since the epoch; undefined before its first job. */
  #idleSince: number | undefined;
  #pauses = 0;
  #idleMs = 0;

  constructor(engine: string, clock: Clock) {
    this.#engine = engine;
    this.#clock = clock;
  }

  get attempts(): readonly AttemptTotals[] {
    return [...this.#attempts.values()];
  }

  get idle(): IdleTotals {
    return { engine: this.#engine, count: this.#pauses, seconds: this.#idleMs / 1_000 };
  }

  /** The engine gets a job, which was submitted then (milliseconds since the epoch). Time without any job does not count. */
  begin(submittedAt: number): void {
    if (this.#working === 0 && this.#idleSince !== undefined) {
      // One that came later had not kept the engine waiting: there was nothing to be done.
      if (submittedAt <= this.#idleSince) {
        this.#pauses += 1;
        this.#idleMs += Math.max(0, this.#clock.now() - this.#idleSince);
      }
    }
    this.#working += 1;
  }

  /** The engine is done with it. */
  end(): void {
    this.#working -= 1;
    if (this.#working === 0) this.#idleSince = this.#clock.now();
  }

  /** An attempt at a job of this type ended after `ms`. */
  count(type: string, outcome: AttemptOutcome, ms: number): void {
    const key = `${type} ${outcome}`;
    const seconds = ms / 1_000;
    const none = {
      type,
      engine: this.#engine,
      outcome,
      count: 0,
      seconds: 0,
      withinBounds: durationBounds.map(() => 0),
    };
    const former = this.#attempts.get(key) ?? none;
    this.#attempts.set(key, {
      ...former,
      count: former.count + 1,
      seconds: former.seconds + seconds,
      withinBounds: durationBounds.map(
        (bound, index) => (former.withinBounds[index] ?? 0) + (seconds <= bound ? 1 : 0),
      ),
    });
  }
}
