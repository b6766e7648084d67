import type { Clock } from '@mgpu/core';

/** Wakes a loop that sleeps. What rings while nobody sleeps is heard by the next sleep. */
export class Alarm {
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  #hasRung = false;
  #wake: AbortController | undefined;

  constructor(clock: Clock, signal: AbortSignal) {
    this.#clock = clock;
    this.#signal = signal;
  }

  ring(): void {
    this.#hasRung = true;
    this.#wake?.abort();
  }

  /** True when it rang before `ms` were over. Rejects with the reason when the run ends. */
  async sleep(ms: number): Promise<boolean> {
    if (!this.#hasRung) {
      this.#wake = new AbortController();
      const signal = AbortSignal.any([this.#signal, this.#wake.signal]);
      await this.#clock.sleep(ms, { signal }).catch(() => {}); // told by what follows
      this.#wake = undefined;
    }
    this.#signal.throwIfAborted();
    const hasRung = this.#hasRung;
    this.#hasRung = false;
    return hasRung;
  }
}
