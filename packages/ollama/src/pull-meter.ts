import type { Clock } from '@mgpu/core';
import type { Progress } from './client/types.ts';

/** Sums up the lines of a pull, which tell of one layer each. */
export class PullMeter {
  readonly #clock: Clock;
  readonly #layers = new Map<string, { completed: number; total: number }>();
  #first: { readonly at: number; readonly completed: number } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  see({ digest, total, completed = 0 }: Progress): void {
    if (digest === undefined || total === undefined) return;
    this.#layers.set(digest, { completed, total });
    // What was there before does not count for the rate.
    if (completed > 0) this.#first ??= { at: this.#clock.elapsed(), completed: this.completed };
  }

  get completed(): number {
    return this.#sum('completed');
  }

  get total(): number {
    return this.#sum('total');
  }

  /** 0 to 100. */
  get percent(): number {
    return this.total === 0 ? 0 : (100 * this.completed) / this.total;
  }

  /** Undefined until something has come. */
  get bytesPerSecond(): number | undefined {
    if (!this.#first) return undefined;
    const seconds = (this.#clock.elapsed() - this.#first.at) / 1_000;
    const bytes = this.completed - this.#first.completed;
    return seconds > 0 && bytes > 0 ? bytes / seconds : undefined;
  }

  get secondsLeft(): number | undefined {
    const rate = this.bytesPerSecond;
    return rate === undefined ? undefined : Math.ceil((this.total - this.completed) / rate);
  }

  #sum(key: 'completed' | 'total'): number {
    return [...this.#layers.values()].reduce((sum, layer) => sum + layer[key], 0);
  }
}
