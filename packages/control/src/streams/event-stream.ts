import type { ServerResponse } from 'node:http';
import type { Backlog, Reader } from './backlog.ts';

/** Bytes a reader of events that come by themselves may be behind. */
const maxBehindBytes = 1024 * 1024;

/** A message of server-sent events (WHATWG HTML, "server-sent events"): one JSON object, and where to go on after it. */
export function messageOf<T extends { readonly event: string }>(event: T, id?: string): string {
  return `${id === undefined ? '' : `id: ${id}\n`}event: ${event.event}\ndata: ${JSON.stringify(event)}\n\n`;
}

/** What an answer without an end is made of. */
export interface StreamForm {
  readonly contentType: string;
  /** What says that we are there while there is nothing to say; empty where nothing can. */
  readonly beat: string;
}

export const eventForm: StreamForm = { contentType: 'text/event-stream', beat: ': here\n\n' };
export const textForm: StreamForm = { contentType: 'text/plain; charset=utf-8', beat: '' };

/** An answer without an end: server-sent events, or plain text. */
export class EventStream implements Reader {
  readonly #response: ServerResponse;
  readonly #backlog: Backlog;
  readonly #beat: string;
  /** What had reached the reader's side at the last beat. */
  #sentBytes = -1;

  constructor(response: ServerResponse, backlog: Backlog, { contentType, beat }: StreamForm = eventForm) {
    this.#response = response;
    this.#backlog = backlog;
    this.#beat = beat;
    const look = () => backlog.look(this);
    response.on('drain', look);
    response.once('close', look);
    response.writeHead(200, { 'content-type': contentType, 'cache-control': 'no-store' });
    response.flushHeaders();
  }

  /** For messages that come by themselves: whoever falls behind is dropped. */
  send(message: string): void {
    this.#backlog.look(this); // whoever has caught up by now is behind since this event at most
    if (this.behindBytes > maxBehindBytes) this.drop();
    else this.#write(message);
    this.#backlog.look(this);
  }

  /** Nobody reads it any more. */
  get isClosed(): boolean {
    return this.#response.destroyed;
  }

  get behindBytes(): number {
    return this.#response.destroyed ? 0 : this.#response.writableLength;
  }

  /** Whoever reads it may begin anew. */
  drop(): void {
    this.#response.destroy();
  }

  /** For messages that can wait for their reader: resolves when there is room for the next, or nobody left to read it. */
  async sendInTurn(message: string): Promise<void> {
    if (this.#write(message)) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#response.once('drain', resolve);
    this.#response.once('close', resolve);
    await promise;
    this.#response.off('drain', resolve);
    this.#response.off('close', resolve);
  }

  /** Drops whoever has taken nothing of what waits for it since the last beat; says to the others that we are there. */
  beat(): void {
    const sentBytes = (this.#response.socket?.bytesWritten ?? 0) - this.behindBytes;
    if (this.behindBytes > 0 && sentBytes === this.#sentBytes) this.drop();
    this.#sentBytes = sentBytes;
    if (this.behindBytes === 0 && this.#beat !== '') this.#write(this.#beat);
  }

  /** False when the reader has to catch up first. */
  #write(message: string): boolean {
    if (this.#response.writableEnded || this.#response.destroyed) return true;
    return this.#response.write(message);
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
