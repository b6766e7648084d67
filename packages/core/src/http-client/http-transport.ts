import type { Dispatcher, FormData as Form, Pool } from 'undici';
import { withoutCredentials } from './credentials.ts';
import { undici } from './undici.ts';

/** Where a server is: its URL, or something that has one, such as an `Endpoint`. */
export type HttpTarget = string | URL | { readonly url: string | URL };

export interface HttpTransportOptions {
  /** Requests that may be under way at once; further ones wait. */
  readonly connections: number;
  /** Bytes an answer that is read whole may have. */
  readonly maxBytes: number;
  /** What is thrown when no answer came, or not all of it. */
  readonly unreachable: (details: HttpFailure, options: { readonly cause: unknown }) => Error;
  /** What is thrown for an answer that is too large. */
  readonly badAnswer: (details: HttpFailure) => Error;
}

export interface HttpFailure {
  readonly url: string;
  /** In words. */
  readonly problem: string;
}

export interface HttpRequest {
  readonly signal?: AbortSignal | undefined;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it is. */
  readonly bytes?: Uint8Array;
  /** Sent as a form. */
  readonly form?: Readonly<Record<string, string | { readonly name: string; readonly content: Blob }>>;
  /** Milliseconds the server may be silent; 0: for ever. Default 60,000. */
  readonly silenceMs?: number;
  /** Milliseconds until the answer must begin; 0: as long as it takes. Default: `silenceMs`. */
  readonly timeoutMs?: number;
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

export interface StreamedHttpAnswer {
  readonly status: number;
  readonly mediaType: string | undefined;
  /** Must be read to its end, or left by `break`, which closes the connection. */
  readonly body: AsyncIterable<Uint8Array>;
}

/** HTTP on kept connections to one server. Throws its owner's errors and the signal's reason. */
export class HttpTransport {
  /** Ends with a slash; has no password. */
  readonly base: URL;
  /** The same with the credentials, where there are any: for whoever connects otherwise, not for showing. */
  readonly address: URL;
  readonly #options: HttpTransportOptions;
  readonly #authorization: string | undefined;
  #pool: Pool | undefined;

  /** `user:password` in the URL is sent as HTTP Basic. */
  constructor(target: HttpTarget, options: HttpTransportOptions) {
    const { href } = new URL(typeof target === 'string' || target instanceof URL ? target : target.url);
    this.address = new URL(href.endsWith('/') ? href : `${href}/`);
    const { url, authorization } = withoutCredentials(this.address);
    this.base = url;
    this.#authorization = authorization;
    this.#options = options;
  }

  /** The absolute address of a path below the server's. */
  url(path: string): URL {
    return new URL(path, this.base);
  }

  /** Reads the answer whole; whatever its status is, it is an answer. */
  async request(method: Dispatcher.HttpMethod, path: string, request: HttpRequest = {}): Promise<HttpAnswer> {
    const { maxBytes, badAnswer } = this.#options;
    const { status, body } = await this.stream(method, path, request);
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of body) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > maxBytes) break;
    }
    if (size <= maxBytes) return { status, body: Buffer.concat(chunks).toString('utf8') };
    throw badAnswer({ url: this.url(path).href, problem: `it is over ${maxBytes / 2 ** 20} MB` });
  }

  /** The answer's body is read by the caller, as it comes, however much it is. */
  async stream(method: Dispatcher.HttpMethod, path: string, request: HttpRequest = {}): Promise<StreamedHttpAnswer> {
    const { statusCode, headers, body } = await this.#send(method, path, request);
    const explain = (error: unknown) => this.#explain(error, request.signal);
    async function* read(): AsyncGenerator<Uint8Array> {
      try {
        yield* body as AsyncIterable<Uint8Array>;
      } catch (error) {
        throw explain(error);
      }
    }
    const type = headers['content-type'];
    return { status: statusCode, mediaType: typeof type === 'string' ? type : undefined, body: read() };
  }

  /** Ends all connections, whatever is under way on them. */
  async close(): Promise<void> {
    const pool = this.#pool;
    this.#pool = undefined;
    await pool?.destroy();
  }

  async #send(method: Dispatcher.HttpMethod, path: string, request: HttpRequest): Promise<Dispatcher.ResponseData> {
    const { signal, json, bytes, form, silenceMs = 60_000, timeoutMs = silenceMs } = request;
    const { Pool, FormData } = await undici();
    signal?.throwIfAborted();
    this.#pool ??= new Pool(this.base.origin, { connections: this.#options.connections });
    const { pathname, search } = this.url(path);
    const text = json === undefined ? null : JSON.stringify(json);
    try {
      return await this.#pool.request({
        method,
        path: pathname + search,
        headersTimeout: timeoutMs,
        bodyTimeout: silenceMs,
        body: form ? fill(new FormData(), form) : (bytes ?? text),
        headers: {
          ...(json === undefined ? {} : { 'content-type': 'application/json' }),
          ...(this.#authorization === undefined ? {} : { authorization: this.#authorization }),
        },
        ...(signal ? { signal } : {}),
      });
    } catch (error) {
      throw this.#explain(error, signal);
    }
  }

  #explain(error: unknown, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted) return signal.reason;
    const { code, message } = error as NodeJS.ErrnoException;
    const problem = code === 'ECONNREFUSED' ? 'connection refused' : message || String(code);
    return this.#options.unreachable({ url: this.base.href, problem }, { cause: error });
  }
}

const unheard = ['ECONNREFUSED', 'UND_ERR_CONNECT_TIMEOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND'];

/** By the cause of an `unreachable`: nobody was there, so nothing of the request was heard. */
export const wasNotHeard = (cause: unknown): boolean =>
  unheard.includes((cause as NodeJS.ErrnoException | undefined)?.code ?? '');

function fill(into: Form, form: NonNullable<HttpRequest['form']>): Form {
  for (const [key, value] of Object.entries(form)) {
    if (typeof value === 'string') into.append(key, value);
    else into.append(key, value.content, value.name);
  }
  return into;
}
