/** A reader who may be behind. */
export interface Reader {
  /** Bytes that are written for it and not yet sent. */
  readonly behindBytes: number;
  drop(): void;
}

/**
 * What all readers of events are behind, together: they must not fill the daemon's memory. Beyond a limit those that have
 * been behind for longest are dropped, so that one who reads outlives a thousand who do not.
 */
export class Backlog {
  readonly #mostBytes: number;
  /** In the order in which they fell behind. */
  readonly #behind = new Map<Reader, number>();
  #bytes = 0;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /** Looks how far behind a reader is: something was written for it, sent, or it has gone. */
  look(reader: Reader): void {
    this.#count(reader);
    for (const longest of this.#behind.keys()) {
      if (this.#bytes <= this.#mostBytes) return;
      // It may have read since it was looked at.
      this.#count(longest);
      if (this.#behind.has(longest)) longest.drop();
      this.#forget(longest);
    }
  }

  #count(reader: Reader): void {
    const { behindBytes } = reader;
    this.#bytes += behindBytes - (this.#behind.get(reader) ?? 0);
    if (behindBytes === 0) this.#behind.delete(reader);
    else this.#behind.set(reader, behindBytes);
  }

  #forget(reader: Reader): void {
    this.#bytes -= this.#behind.get(reader) ?? 0;
    this.#behind.delete(reader);
  }
}
