import { randomUUID } from 'node:crypto';
import type { WebSocket } from 'ws';
import type { FaultPlan } from '../faults/fault-plan.ts';
import { pyJson } from '../python/values.ts';
import { type LogEntry, TERMINAL_SIZE } from './log.ts';
import type { Preview } from './nodes/node.ts';
import type { Faults } from './script.ts';

interface Client {
  readonly socket: WebSocket;
  readonly flags: Record<string, unknown>;
  received: number;
  cut: boolean;
}

interface HubOptions {
  readonly faults: FaultPlan<Faults>;
  readonly features: Record<string, unknown>;
  readonly queueInfo: () => unknown;
}

/** The sockets, by client id, and who is told about the running prompt. */
export class Hub {
  readonly #clients = new Map<string, Client>();
  readonly #logReaders = new Set<string>();
  readonly #options: HubOptions;
  /** The client that submitted the running (or last) prompt; without one, events go to everyone or nobody. */
  runner: string | undefined;
  /** The node that runs, for a client that reconnects. */
  node: string | undefined;

  constructor(options: HubOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#clients.size;
  }

  connect(socket: WebSocket, clientId: string): void {
    const sid = clientId === '' ? randomUUID().replaceAll('-', '') : clientId;
    const client: Client = { socket, flags: {}, received: 0, cut: false };
    this.#clients.set(sid, client);
    this.#deliver(client, text('status', { status: this.#options.queueInfo(), sid }));
    if (this.runner === sid && this.node !== undefined) this.#deliver(client, text('executing', { node: this.node }));
    let first = true;
    socket.on('message', (data, binary) => {
      if (!binary) this.#read(client, String(data), first);
      first = false;
    });
    socket.on('error', () => socket.terminate());
    socket.on('close', () => {
      // The real server forgets whoever holds the id now, which need not be the socket that closes.
      if ((this.#options.faults.current.sameClientTrap ?? true) || this.#clients.get(sid) === client)
        this.#clients.delete(sid);
    });
  }

  /** To the runner, or to everyone when the prompt came without a client id. */
  send(event: string, data: unknown): void {
    this.#post(text(event, data), this.runner);
  }

  /** To the runner only; events of prompts without a client id are lost. */
  sendToRunner(event: string, data: unknown): void {
    if (this.runner !== undefined) this.send(event, data);
  }

  broadcast(event: string, data: unknown): void {
    this.#post(text(event, data), undefined);
  }

  wantsPreviewMetadata(): boolean {
    const client = this.runner === undefined ? undefined : this.#clients.get(this.runner);
    return client?.flags.supports_preview_metadata === true;
  }

  /** Binary frame type 1. */
  preview({ type, bytes }: Preview): void {
    const head = Buffer.alloc(8);
    head.writeUInt32BE(1, 0);
    head.writeUInt32BE(type === 'image/jpeg' ? 1 : 2, 4);
    this.#post(Buffer.concat([head, bytes]), this.runner);
  }

  /** Binary frame type 4. */
  previewWithMetadata({ type, bytes }: Preview, metadata: Record<string, unknown>): void {
    const json = Buffer.from(pyJson({ ...metadata, image_type: type }));
    const head = Buffer.alloc(8);
    head.writeUInt32BE(4, 0);
    head.writeUInt32BE(json.length, 4);
    this.#post(Buffer.concat([head, json, bytes]), this.runner);
  }

  subscribeLogs(clientId: string, enabled: boolean): void {
    if (enabled) this.#logReaders.add(clientId);
    else this.#logReaders.delete(clientId);
  }

  sendLog(entry: LogEntry): void {
    for (const id of this.#logReaders) this.#post(text('logs', { entries: [entry], size: TERMINAL_SIZE }), id);
  }

  /** Cuts every connection without a close frame. */
  dropAll(): void {
    for (const { socket } of this.#clients.values()) socket.terminate();
  }

  #read(client: Client, message: string, first: boolean): void {
    let frame: { type?: unknown; data?: unknown };
    try {
      frame = JSON.parse(message) as typeof frame;
    } catch {
      return;
    }
    if (!first || frame?.type !== 'feature_flags') return;
    Object.assign(client.flags, frame.data);
    this.#deliver(client, text('feature_flags', this.#options.features));
  }

  #post(message: string | Buffer, to: string | undefined): void {
    const clients = to === undefined ? [...this.#clients.values()] : [this.#clients.get(to)];
    for (const client of clients) if (client !== undefined) this.#deliver(client, message);
  }

  #deliver(client: Client, message: string | Buffer): void {
    const { faults } = this.#options;
    const fault = faults.isUsedUp('websocket') ? undefined : faults.current.websocket;
    if (client.cut || client.socket.readyState !== client.socket.OPEN) return;
    if (fault?.mute) {
      faults.strike('websocket');
      return;
    }
    client.socket.send(message);
    if (
      fault?.dropAfter !== undefined &&
      ++client.received >= fault.dropAfter &&
      faults.strike('websocket') !== undefined
    ) {
      client.cut = true;
      // Let the last message out before the line is cut.
      setImmediate(() => client.socket.terminate());
    }
  }
}

const text = (type: string, data: unknown) => JSON.stringify({ type, data });
