/** A time in which a helper did not answer. Monotonic milliseconds. */
export interface OpenPeriod {
  readonly from: number;
  /** When one answered again; undefined while none has. */
  readonly until?: number;
}

/** Milliseconds between two attempts while it is open. */
const retryMs = 30_000;
const maxPeriods = 16;

/**
 * Keeps helpers that hang from piling up: after one hung, the next is let through half a minute later, and not while one
 * that was abandoned still lives.
 */
export class Breaker {
  #periods: readonly OpenPeriod[] = [];
  #notBefore = Number.NEGATIVE_INFINITY;
  #abandoned = 0;

  /** The last ones, oldest first; the last has no end while it is open. */
  get periods(): readonly OpenPeriod[] {
    return this.#periods;
  }

  /** Why no helper may run now; undefined when one may. */
  refusal(now: number): string | undefined {
    if (this.#abandoned > 0) return 'an earlier nvidia-smi hangs in the kernel and cannot be killed';
    if (now >= this.#notBefore) return undefined;
    return `no query for another ${Math.ceil((this.#notBefore - now) / 1_000)} s`;
  }

  /** Milliseconds until it is worth asking again, for one who asks every `ms`: while it is open, as soon as one is let through. */
  nextIn(ms: number): number {
    const open = this.#periods.at(-1);
    return open && open.until === undefined ? Math.min(ms, retryMs) : ms;
  }

  /** Lets nothing through for `ms`. */
  pause(now: number, ms: number): void {
    this.#notBefore = Math.max(this.#notBefore, now + ms);
  }

  answered(now: number): void {
    const open = this.#periods.at(-1);
    if (open && open.until === undefined) this.#periods = [...this.#periods.slice(0, -1), { ...open, until: now }];
  }

  /** `since`: when the helper was started. `gone`: set when it was abandoned, resolves when it is gone after all. */
  hung(since: number, now: number, gone?: Promise<void>): void {
    const open = this.#periods.at(-1);
    if (!open || open.until !== undefined) this.#periods = [...this.#periods, { from: since }].slice(-maxPeriods);
    this.pause(now, retryMs);
    if (!gone) return;
    this.#abandoned++;
    void gone.then(() => this.#abandoned--);
  }
}
