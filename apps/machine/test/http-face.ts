import { readFileSync } from 'node:fs';
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { Box } from './support.ts';

export interface Question {
  readonly method?: string;
  /** As it goes over the wire: nothing of it is normalised. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** What is no text is sent as JSON. */
  readonly body?: unknown;
  /** `null` sends none; default: the machine's. */
  readonly token?: string | null;
  /** Bytes after which enough is known of an answer without an end; 0: its head is enough. */
  readonly enoughBytes?: number;
  readonly signal?: AbortSignal;
}

export interface Heard {
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly text: string;
  json<T = { kind: string; data: never }>(): T;
}

/** A machine as strangers have it, over TCP. */
export class HttpFace implements Disposable {
  readonly port: number;
  readonly token: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 16 });

  constructor(box: Box) {
    this.port = box.port + 21;
    this.token = readFileSync(join(box.root, 'state', 'http-token'), 'utf8').trim();
  }

  async ask(question: Question): Promise<Heard> {
    const { method = 'GET', path, headers = {}, body, token = this.token, enoughBytes, signal } = question;
    const { promise, resolve, reject } = Promise.withResolvers<Heard>();
    const payload = typeof body === 'string' || body === undefined ? body : JSON.stringify(body);
    const sent = request(
      {
        host: '127.0.0.1',
        port: this.port,
        method,
        path,
        agent: this.#agent,
        ...(signal === undefined ? {} : { signal }),
        headers: {
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
          ...(payload === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
          ...(headers as Record<string, string | string[]>),
        },
      },
      (response) => {
        const told = (bytes: Buffer) => {
          const text = bytes.toString();
          const { statusCode: status = 0, headers: heard } = response;
          resolve({ method, path, status, headers: heard, body: bytes, text, json: () => JSON.parse(text) });
        };
        const isStream = /^text\/(event-stream|plain)/.test(response.headers['content-type'] ?? '');
        if (enoughBytes === undefined || !isStream || response.statusCode !== 200)
          return void buffer(response).then(told, reject);
        let bytes = Buffer.alloc(0);
        response.on('data', (chunk: Buffer) => {
          bytes = Buffer.concat([bytes, chunk]);
          if (bytes.length >= enoughBytes) response.destroy();
        });
        response.on('error', () => {}); // we have cut it
        if (enoughBytes === 0) response.destroy();
        response.once('close', () => told(bytes));
      },
    );
    sent.on('error', reject);
    sent.end(payload);
    return await promise;
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}
