import { abortable, type Clock, deadline } from '@mgpu/core';

export interface RecentOptions<T> {
  readonly clock: Clock;
  readonly ask: () => Promise<T>;
  /** Milliseconds for which an answer is good, and a failure stands. */
  readonly maxAgeMs: number;
  /** Milliseconds that somebody waits for an answer. */
  readonly waitMs: number;
}

/** An answer that many want and somebody else has: asked for once at a time, and never waited for long. */
export class Recent<T> {
  readonly #options: RecentOptions<T>;
  #answer: { readonly value: T | undefined; readonly at: number } | undefined;
  #asking: { readonly answer: Promise<T | undefined>; readonly since: number } | undefined;

  constructor(options: RecentOptions<T>) {
    this.#options = options;
  }

  /** Undefined when there is no answer in time. */
  async get(): Promise<T | undefined> {
    const { clock, maxAgeMs, waitMs } = this.#options;
    const now = clock.elapsed();
    if (this.#answer && now - this.#answer.at < maxAgeMs) return this.#answer.value;
    this.#asking ??= { answer: this.#ask(), since: now };
    const { answer, since } = this.#asking;
    const leftMs = since + waitMs - now;
    if (leftMs <= 0) return undefined; // others have waited for it in vain
    using limit = deadline(clock, leftMs, () => new Error('no answer in time'));
    return await abortable(answer, limit.signal).catch(() => undefined);
  }

  async #ask(): Promise<T | undefined> {
    const value = await this.#options.ask().catch(() => undefined);
    this.#answer = { value, at: this.#options.clock.elapsed() };
    this.#asking = undefined;
    return value;
  }
}
