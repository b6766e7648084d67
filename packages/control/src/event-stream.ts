import type { ServerResponse } from 'node:http';

/** Bytes a reader may be behind before it is dropped: a slow one must not fill the daemon's memory. */
const maxBehindBytes = 1024 * 1024;

/** Server-sent events on one answer (WHATWG HTML, "server-sent events"): one JSON object per message. */
export class EventStream {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.flushHeaders();
  }

  /** For events that come by themselves: whoever falls behind is dropped. */
  send<T extends { readonly event: string }>(event: T): void {
    if (this.#response.writableLength > maxBehindBytes) this.#response.destroy();
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
    return this.#response.write(`event: ${event.event}\ndata: ${JSON.stringify(event)}\n\n`);
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
