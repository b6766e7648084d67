import type { ServerResponse } from 'node:http';

/** An event goes to many readers: it is written out once, and kept once for all who are behind. */
const messages = new WeakMap<object, string>();

function messageOf(event: { readonly event: string }): string {
  const message = messages.get(event) ?? `event: ${event.event}\ndata: ${JSON.stringify(event)}\n\n`;
  messages.set(event, message);
  return message;
}

/** Server-sent events on one answer (WHATWG HTML, "server-sent events"): one JSON object per message. */
export class EventStream {
  readonly #response: ServerResponse;
  readonly #mostBehindBytes: () => number;

  /** `mostBehindBytes`: what a reader may be behind before it is dropped. */
  constructor(response: ServerResponse, mostBehindBytes: () => number) {
    this.#response = response;
    this.#mostBehindBytes = mostBehindBytes;
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.flushHeaders();
  }

  /** For events that come by themselves: whoever falls behind is dropped. */
  send<T extends { readonly event: string }>(event: T): void {
    if (this.#response.writableLength > this.#mostBehindBytes()) this.#response.destroy();
    else this.#write(event);
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
