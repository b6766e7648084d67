const minuteMs = 60_000;

/** Spreads the restarts of a machine: what fails everything at once must not start everything at once. */
export class RestartLimiter {
  readonly #perMinute: number;
  /** Monotonic milliseconds of the restarts granted, ascending. */
  #granted: number[] = [];

  constructor(perMinute: number) {
    this.#perMinute = perMinute;
  }

  /** Milliseconds until a restart that is to come `pauseMs` after `now` may be done; the place is taken by asking. */
  delay(now: number, pauseMs: number): number {
    this.#granted = this.#granted.filter((at) => at > now - minuteMs);
    let at = now + pauseMs;
    for (;;) {
      const near = this.#granted.filter((each) => Math.abs(each - at) < minuteMs);
      if (near.length < this.#perMinute) break;
      at = (near[0] ?? at) + minuteMs;
    }
    this.#granted = [...this.#granted, at].toSorted((a, b) => a - b);
    return Math.max(0, at - now);
  }
}
