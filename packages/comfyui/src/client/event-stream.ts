import { ComfyUIEventsLostError, ComfyUIUnreachableError } from '../errors.ts';
import type { EngineEvent } from './types.ts';

const maxBehind = 10_000;
/** A reader this far behind has no use for old pictures. */
const maxBehindForPreviews = 100;

/** Events one by one, buffered from the moment it exists. A reader that falls 10,000 behind gets `COMFYUI_EVENTS_LOST`. */
export class EventStream implements AsyncIterableIterator<EngineEvent, void, undefined>, AsyncDisposable {
  readonly #url: string;
  readonly #signal: AbortSignal | undefined;
  readonly #onEnd = () => this.#finish();
  #waiting: EngineEvent[] = [];
  #isOver = false;
  #error: unknown;
  #wake = Promise.withResolvers<void>();
  #release: () => void = () => {};

  constructor(url: string, signal: AbortSignal | undefined) {
    this.#url = url;
    this.#signal = signal;
    signal?.addEventListener('abort', this.#onEnd, { once: true });
  }

  /** Called once, when it ends; at once when it has ended already. */
  onFinish(release: () => void): void {
    if (this.#isOver) release();
    else this.#release = release;
  }

  push(event: EngineEvent): void {
    if (event.type === 'preview' && this.#waiting.length > maxBehindForPreviews) return;
    if (this.#waiting.push(event) > maxBehind) {
      this.#waiting = [];
      this.#finish(new ComfyUIEventsLostError({ url: this.#url, behind: maxBehind }));
    }
    this.#wake.resolve();
  }

  lost(problem: string): void {
    this.#finish(new ComfyUIUnreachableError({ url: this.#url, problem }));
  }

  /** What has arrived is given out before a failure is thrown. */
  async next(): Promise<IteratorResult<EngineEvent, void>> {
    for (;;) {
      const event = this.#signal?.aborted ? undefined : this.#waiting.shift();
      if (event) return { done: false, value: event };
      if (this.#error !== undefined) throw this.#error;
      if (this.#isOver) return { done: true, value: undefined };
      await this.#wake.promise;
      this.#wake = Promise.withResolvers();
    }
  }

  async return(): Promise<IteratorResult<EngineEvent, void>> {
    this.#waiting = [];
    this.#finish();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  #finish(error?: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#error = error;
    this.#signal?.removeEventListener('abort', this.#onEnd);
    this.#release();
    this.#wake.resolve();
  }
}
