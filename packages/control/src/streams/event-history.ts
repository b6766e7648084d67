import { randomBytes } from 'node:crypto';
import type { MachineEvent } from '../contract.ts';
import { messageOf } from './event-stream.ts';

/** Events that somebody who was away can still get, at most, and their characters together. */
const mostEvents = 1_000;
const mostChars = 4 * 1024 * 1024;

/** What happened last on the machine, numbered, for those who come back (`Last-Event-ID`). */
export class EventHistory {
  /** Numbers mean nothing to another life of the daemon. */
  readonly #tag = randomBytes(4).toString('hex');
  readonly #messages: string[] = [];
  readonly #listeners = new Set<(message: string) => void>();
  #count = 0;
  #chars = 0;

  /** How many hear of what happens. */
  get listening(): number {
    return this.#listeners.size;
  }

  add(event: MachineEvent): void {
    this.#count += 1;
    const message = messageOf(event, this.lastId);
    this.#messages.push(message);
    this.#chars += message.length;
    while (this.#messages.length > mostEvents || this.#chars > mostChars)
      this.#chars -= this.#messages.shift()?.length ?? 0;
    for (const each of this.#listeners) each(message);
  }

  get lastId(): string {
    return `${this.#tag}-${this.#count}`;
  }

  /** The messages after one; undefined when not all of them are known any more, or it is none of ours. */
  after(id: string): readonly string[] | undefined {
    const [, tag, number] = /^([0-9a-f]{8})-(\d{1,15})$/.exec(id) ?? [];
    const missing = this.#count - Number(number);
    if (tag !== this.#tag || missing < 0 || missing > this.#messages.length) return undefined;
    return missing === 0 ? [] : this.#messages.slice(-missing);
  }

  /** Returns the function that ends it. */
  listen(listener: (message: string) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}
