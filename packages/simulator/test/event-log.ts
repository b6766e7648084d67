import { once } from 'node:events';
import { WebSocket } from 'ws';
import type { Json } from './support.ts';

export interface Binary {
  readonly type: 'binary';
  readonly data: Buffer;
}
export type Event = { readonly type: string; readonly data: Json } | Binary;

let clients = 0;

/** One socket of a server, with every message it has got. */
export class EventLog implements AsyncDisposable {
  readonly clientId: string;
  readonly socket: WebSocket;
  readonly all: Event[] = [];
  /** The code of the end of the connection. */
  readonly closed: Promise<number>;
  readonly #watchers = new Set<() => void>();

  private constructor(port: number, clientId: string, path = '/ws') {
    this.clientId = clientId;
    this.socket = new WebSocket(`ws://127.0.0.1:${port}${path}?clientId=${clientId}`);
    this.closed = new Promise((resolve) => {
      this.socket.once('close', (code) => {
        resolve(code);
        for (const watch of this.#watchers) watch();
      });
    });
    this.socket.on('message', (data, binary) => {
      this.all.push(binary ? { type: 'binary', data: data as Buffer } : JSON.parse(String(data)));
      for (const watch of this.#watchers) watch();
    });
  }

  /** Resolves after the first status; `metadata` offers `supports_preview_metadata` first. */
  static async open(
    port: number,
    options: { clientId?: string; metadata?: boolean; path?: string } = {},
  ): Promise<EventLog> {
    const log = new EventLog(port, options.clientId ?? `test-${process.pid}-${clients++}`, options.path);
    await once(log.socket, 'open');
    if (options.metadata)
      log.socket.send(JSON.stringify({ type: 'feature_flags', data: { supports_preview_metadata: true } }));
    await log.until((event) => event.type === (options.metadata ? 'feature_flags' : 'status'));
    return log;
  }

  /** The first event, already here or to come, that fits; rejects when the connection ends without it. */
  until(fits: (event: Event) => boolean, from = 0): Promise<Event> {
    return new Promise((resolve, reject) => {
      const watch = () => {
        const found = this.all.slice(from).find(fits);
        if (found !== undefined) resolve(found);
        else if (this.socket.readyState === WebSocket.CLOSED)
          reject(new Error(`the connection ended after ${this.types().join(', ')}`));
        else return;
        this.#watchers.delete(watch);
      };
      this.#watchers.add(watch);
      watch();
    });
  }

  /** Resolves when everything that the server has sent here so far is in the log. */
  async settled(): Promise<void> {
    const pong = once(this.socket, 'pong');
    this.socket.ping();
    await pong;
  }

  /** The event of this type, for a prompt if one is named. */
  async named(type: string, promptId?: string): Promise<Json> {
    const event = await this.until(
      (one) => one.type === type && (promptId === undefined || one.data.prompt_id === promptId),
    );
    return event.data;
  }

  /** Waits for the last event of a prompt. */
  async idle(promptId: string): Promise<void> {
    await this.until(({ type, data }) => type === 'executing' && data.node === null && data.prompt_id === promptId);
  }

  /** Waits until the queue is empty, for prompts that came without a client id; `from` skips the older events. */
  async empty(from: number): Promise<void> {
    await this.until(({ type, data }) => type === 'status' && data.status.exec_info.queue_remaining === 0, from);
  }

  types(): string[] {
    return this.all.map((event) => event.type);
  }

  binaries(): Buffer[] {
    return this.all.filter((event): event is Binary => event.type === 'binary').map((event) => event.data);
  }

  /** Everything of one type. */
  data(type: string): Json[] {
    return this.all.filter((event) => event.type === type).map((event) => event.data);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.terminate();
    await this.closed;
  }
}
