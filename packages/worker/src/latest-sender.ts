import type { Clock } from '@mgpu/core/jobs';

/**
 * Sends only the newest of what it is given, one at a time until the end, at least `intervalMs` apart and after the beginning: whoever
 * is done sooner has no news but its end. What cannot be sent is dropped: it is news, and the next one is newer.
 */
export class LatestSender<T> {
  readonly #send: (value: T) => Promise<unknown>;
  readonly #clock: Clock;
  readonly #intervalMs: number;
  #pending: { readonly value: T } | undefined;
  #sending: Promise<void> | undefined;
  #timer: AbortController | undefined;
  #sentAt: number;
  #hasSent = false;
  #isEnded = false;

  constructor(clock: Clock, intervalMs: number, send: (value: T) => Promise<unknown>) {
    this.#clock = clock;
    this.#intervalMs = intervalMs;
    this.#send = send;
    this.#sentAt = clock.elapsed();
  }

  push(value: T): void {
    if (this.#isEnded) return;
    this.#pending = { value };
    if (this.#sending || this.#timer) return;
    const waitMs = this.#sentAt + this.#intervalMs - this.#clock.elapsed();
    if (waitMs <= 0) {
      this.#flush();
      return;
    }
    const timer = new AbortController();
    this.#timer = timer;
    this.#clock.sleep(waitMs, { signal: timer.signal }).then(
      () => {
        this.#timer = undefined;
        this.#flush();
      },
      () => {}, // ended
    );
  }

  /**
   * Sends what is left at once, even while an earlier value is on its way, so that it comes before the end on the same
   * connection. Where nothing was sent before it sends nothing: the end of what was that short is news enough.
   */
  end(): void {
    this.#isEnded = true;
    this.#timer?.abort();
    if (!this.#hasSent) this.#pending = undefined;
    this.#flush();
  }

  #flush(): void {
    const next = this.#pending;
    if (!next) return;
    this.#pending = undefined;
    this.#sentAt = this.#clock.elapsed();
    this.#hasSent = true;
    this.#sending = this.#send(next.value).then(
      () => this.#sent(),
      () => this.#sent(), // dropped, see above
    );
  }

  #sent(): void {
    this.#sending = undefined;
    if (this.#pending) this.push(this.#pending.value);
  }
}
