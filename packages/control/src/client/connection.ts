import type { IncomingMessage, RequestOptions } from 'node:http';
import { text } from 'node:stream/consumers';
import { type ErrorReport, expectSocketPath, MgpuError, reviveError, systemClock } from '@mgpu/core';
import { EventSourceParserStream } from 'eventsource-parser/stream';
import { type EndpointId, endpoints, pathOf } from '../api/endpoints.ts';
import type { Envelope } from '../contract.ts';
import { daemonProcess } from '../daemon-process.ts';
import { ConnectionLostError, DaemonNotRunningError, ForbiddenError, NotAnsweringError } from '../errors.ts';

/** Where a daemon is asked: on its socket, or over HTTP with its token. */
export type ControlAddress =
  | {
      /** Path of the daemon's socket: `<root>/run/mgpu.sock`. */
      readonly socketPath: string;
    }
  | {
      /** Such as `http://127.0.0.1:9090`. */
      readonly url: string;
      /** As `mgpu token` prints it. */
      readonly token: string;
    };

/** What is asked for; the rest of a request follows from the endpoint. */
export interface Asked {
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: URLSearchParams;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Signalled {
  readonly signal?: AbortSignal | undefined;
}

export interface CallOptions extends Signalled {
  /** Whether the answer may begin as late as it likes. */
  readonly takesLong?: boolean;
}

/** A message of server-sent events. */
export interface StreamMessage<T> {
  readonly id?: string;
  readonly event: T;
}

// An `import` of node:http reads all its exports, among them the getter of WebSocket, which loads undici: 40 ms of CPU.
const http = process.getBuiltinModule('node:http');

/** How requests reach a daemon; each on a connection of its own. Throws as `ControlClient` says. */
export class Connection {
  readonly #address: ControlAddress;
  readonly #answerTimeoutMs: number;
  readonly #closed = new AbortController();

  constructor(address: ControlAddress, answerTimeoutMs: number) {
    this.#address = address;
    this.#answerTimeoutMs = answerTimeoutMs;
  }

  /** Ends what is under way. */
  close(): void {
    this.#closed.abort(new DOMException('the client was closed', 'AbortError'));
  }

  async call<D>(endpoint: EndpointId, doing: string, asked: Asked, options: CallOptions): Promise<D> {
    const response = await this.open(endpoint, doing, asked, options);
    try {
      return this.#unwrap<D>(await text(response), doing);
    } catch (cause) {
      throw this.#failure(cause, doing, options.signal);
    }
  }

  /** Ends without an error when the signal fires or the daemon ends. */
  async *stream<T extends { event: string }>(
    endpoint: EndpointId,
    doing: string,
    asked: Asked,
    { signal }: Signalled,
  ): AsyncGenerator<StreamMessage<T>, void> {
    try {
      const response = await this.open(endpoint, doing, asked, { signal });
      using _response = { [Symbol.dispose]: () => void response.destroy() };
      const bytes = ReadableStream.from<Uint8Array>(response);
      const messages = bytes.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
      for await (const { data, id } of messages) {
        const event = JSON.parse(data) as T | { readonly event: 'error'; readonly error: ErrorReport };
        if (event.event === 'error' && 'error' in event) throw reviveError(event.error);
        yield { event: event as T, ...(id === undefined ? {} : { id }) };
      }
    } catch (cause) {
      if (!signal?.aborted) throw this.#failure(cause, doing, signal);
    }
  }

  /** The answer, its body yet to be read, when it is none of an error. */
  async open(endpoint: EndpointId, doing: string, asked: Asked, options: CallOptions): Promise<IncomingMessage> {
    try {
      const response = await this.#request(endpoint, asked, options);
      const { statusCode = 0 } = response;
      if (statusCode < 400) return response;
      this.#unwrap(await text(response), doing);
      throw this.lost(doing);
    } catch (cause) {
      throw this.#failure(cause, doing, options.signal);
    }
  }

  lost(doing: string, cause?: unknown): MgpuError {
    return new ConnectionLostError({ address: this.#name, doing }, { cause });
  }

  get #name(): string {
    return 'url' in this.#address ? this.#address.url : this.#address.socketPath;
  }

  async #request(
    endpoint: EndpointId,
    { params, query, body, headers }: Asked,
    { signal, takesLong = false }: CallOptions,
  ): Promise<IncomingMessage> {
    const ends = signal ? AbortSignal.any([signal, this.#closed.signal]) : this.#closed.signal;
    const answered = new AbortController();
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const path = `${pathOf(endpoint, params)}${query === undefined ? '' : `?${query}`}`;
    const { begin, where } = this.#way(path);
    const options: RequestOptions = {
      ...where,
      method: endpoints[endpoint].method,
      headers: {
        ...where.headers,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      agent: false,
      signal: ends,
    };
    const sent = begin(options, resolve);
    sent.on('error', reject);
    if (!takesLong) {
      systemClock.sleep(this.#answerTimeoutMs, { signal: answered.signal }).then(
        () => sent.destroy(new LateAnswer()),
        () => {}, // answered
      );
    }
    sent.end(body === undefined ? undefined : JSON.stringify(body));
    try {
      return await promise;
    } finally {
      answered.abort();
    }
  }

  #way(path: string): { readonly begin: typeof http.request; readonly where: RequestOptions } {
    if ('socketPath' in this.#address) {
      const { socketPath } = this.#address;
      expectSocketPath('control', socketPath);
      return { begin: http.request, where: { socketPath, path, headers: { host: 'mgpu' } } };
    }
    const { protocol, hostname, port, pathname } = new URL(this.#address.url);
    const isSecure = protocol === 'https:';
    return {
      begin: isSecure ? process.getBuiltinModule('node:https').request : http.request,
      where: {
        host: hostname.replace(/^\[(.*)\]$/, '$1'),
        port: port || (isSecure ? 443 : 80),
        path: pathname.replace(/\/$/, '') + path,
        headers: { authorization: `Bearer ${this.#address.token}` },
      },
    };
  }

  #unwrap<D>(text: string, doing: string): D {
    const answer = asEnvelope(text);
    if (!answer) throw this.lost(doing);
    if (answer.kind === 'Error') throw reviveError(answer.data as ErrorReport);
    return answer.data as D;
  }

  #failure(cause: unknown, doing: string, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted) return signal.reason;
    if (cause instanceof MgpuError) return cause;
    const code = (cause as NodeJS.ErrnoException).code ?? '';
    const address = this.#name;
    if (code === 'ENOENT' || code === 'ECONNREFUSED') return new DaemonNotRunningError({ address });
    if (code === 'EACCES' || code === 'EPERM') return new ForbiddenError({ address, problem: code });
    // EAGAIN: more connections wait to be taken than the system keeps.
    if (cause instanceof LateAnswer || code === 'EAGAIN') {
      const pid = 'socketPath' in this.#address ? daemonProcess(this.#address.socketPath) : undefined;
      return new NotAnsweringError({ address, doing, waitedMs: this.#answerTimeoutMs, pid }, { cause });
    }
    return this.lost(doing, cause);
  }
}

/** The answer did not begin in time. */
class LateAnswer extends Error {}

/** Undefined for what no daemon of ours says: the end of one that was cut off, or another server's page. */
function asEnvelope(text: string): Envelope | undefined {
  try {
    const answer = JSON.parse(text) as Partial<Envelope> | null;
    return typeof answer?.kind === 'string' && 'data' in answer ? (answer as Envelope) : undefined;
  } catch {
    return undefined;
  }
}
