import type { ServerResponse } from 'node:http';
import type { Backlog, Reader } from './backlog.ts';

/** Bytes a reader of events that come by themselves may be behind. */
const maxBehindBytes = 1024 * 1024;

/** An event goes to many readers: it is written out once, and kept once for all who are behind. */
const messages = new WeakMap<object, string>();

function messageOf(event: { readonly event: string }): string {
  const message = messages.get(event) ?? `event: ${event.event}\ndata: ${JSON.stringify(event)}\n\n`;
  messages.set(event, message);
  return message;
}

/** Server-sent events on one answer (WHATWG HTML, "server-sent events"): one JSON object per message. */
export class EventStream implements Reader {
  readonly #response: ServerResponse;
  readonly #backlog: Backlog;

  constructor(response: ServerResponse, backlog: Backlog) {
    this.#response = response;
    this.#backlog = backlog;
    const look = () => backlog.look(this);
    response.on('drain', look);
    response.once('close', look);
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.flushHeaders();
  }

  /** For events that come by themselves: whoever falls behind is dropped. */
  send<T extends { readonly event: string }>(event: T): void {
    this.#backlog.look(this); // whoever has caught up by now is behind since this event at most
    if (this.behindBytes > maxBehindBytes) this.drop();
    else this.#write(event);
    this.#backlog.look(this);
  }

  get behindBytes(): number {
    return this.#response.destroyed ? 0 : this.#response.writableLength;
  }

  /** Whoever reads it may begin anew. */
  drop(): void {
    this.#response.destroy();
  }

  /** For events that can wait for their reader: resolves when there is room for the next, or nobody left to read it. */
  async sendInTurn<T extends { readonly event: string }>(event: T): Promise<void> {
    if (this.#write(event)) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#response.once('drain', resolve);
    this.#response.once('close', resolve);
    await promise;
    this.#response.off('drain', resolve);
    this.#response.off('close', resolve);
  }

  /** False when the reader has to catch up first. */
  #write(event: { readonly event: string }): boolean {
    if (this.#response.writableEnded || this.#response.destroyed) return true;
    return this.#response.write(messageOf(event));
  }

  /** At once when the reader has left already. */
  onClose(listener: () => void): void {
    if (this.#response.destroyed) listener();
    else this.#response.once('close', listener);
  }

  end(): void {
    this.#response.end();
  }
}
