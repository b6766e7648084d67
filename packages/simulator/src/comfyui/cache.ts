import type { NodeResult } from './nodes/node.ts';
import type { CacheMode } from './options.ts';

/**
 * Results of executed nodes by signature. The RAM-pressure cache of newer versions keeps what the last prompt did not use
 * only while all of the machine's memory is free, which is never: here it is the classic one.
 */
export class ResultCache {
  readonly #mode: CacheMode;
  readonly #results = new Map<string, NodeResult>();

  constructor(mode: CacheMode) {
    this.#mode = mode;
  }

  get size(): number {
    return this.#results.size;
  }

  get(signature: string): NodeResult | undefined {
    const found = this.#results.get(signature);
    if (found !== undefined) this.set(signature, found);
    return found;
  }

  /** The latest used come last. */
  set(signature: string, result: NodeResult): void {
    this.#results.delete(signature);
    this.#results.set(signature, result);
  }

  /** At the start of a prompt: all but one kind of cache keep only what the new prompt can use. */
  keepFor(signatures: ReadonlySet<string>): void {
    if (this.#mode.kind === 'lru') return;
    for (const signature of this.#results.keys()) if (!signatures.has(signature)) this.#results.delete(signature);
  }

  /** At the end of a prompt. */
  trim(): void {
    const most =
      this.#mode.kind === 'none' ? 0 : this.#mode.kind === 'lru' ? this.#mode.size : Number.POSITIVE_INFINITY;
    for (const signature of this.#results.keys()) {
      if (this.#results.size <= most) break;
      this.#results.delete(signature);
    }
  }

  clear(): void {
    this.#results.clear();
  }
}
