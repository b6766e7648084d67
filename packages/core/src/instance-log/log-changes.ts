import { type FSWatcher, watch } from 'node:fs';
import type { Clock } from '../clock.ts';

/** Milliseconds between looks where nobody tells of changes: some file systems do not, and a missing file cannot. */
const pollMs = 1_000;

/** Tells that a file may have changed. */
export class LogChanges implements Disposable {
  readonly #file: string;
  readonly #clock: Clock;
  #watcher: FSWatcher | undefined;
  #isChanged = false;
  #wake = () => {};

  constructor(file: string, clock: Clock) {
    this.#file = file;
    this.#clock = clock;
  }

  /** From here on no change is missed. */
  watch(): void {
    if (this.#watcher) return;
    try {
      this.#watcher = watch(this.#file, (event) => {
        // Removed or replaced: whoever has this name next is watched anew.
        if (event === 'rename') this[Symbol.dispose]();
        this.#isChanged = true;
        this.#wake();
      });
      this.#watcher.on('error', () => this[Symbol.dispose]());
    } catch {
      // Looked at in intervals instead, until it can be watched.
    }
  }

  /** Resolves when something may have changed since the last time it did, or the signal fires. */
  async next(signal?: AbortSignal): Promise<void> {
    this.watch();
    if (!this.#isChanged && !signal?.aborted) {
      const woken = new AbortController();
      this.#wake = () => woken.abort();
      signal?.addEventListener('abort', this.#wake, { once: true });
      await this.#clock.sleep(pollMs, { signal: woken.signal }).catch(() => {}); // woken
      signal?.removeEventListener('abort', this.#wake);
    }
    this.#isChanged = false;
  }

  [Symbol.dispose](): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }
}
