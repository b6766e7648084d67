import type { Dispatcher, Pool } from 'undici';
import { OllamaBadAnswerError, OllamaUnreachableError } from '../errors.ts';
import { maxBytes, undici } from './undici.ts';

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it is. */
  readonly bytes?: Uint8Array;
  /** Milliseconds the server may be silent. Default 60,000; 0 is for ever. */
  readonly silenceMs?: number;
}

export interface Answer {
  readonly status: number;
  readonly body: string;
}

export interface StreamedAnswer {
  readonly status: number;
  /** Lines as they come. Must be read to their end, or left by `break`. */
  readonly lines: AsyncIterable<string>;
}

/** HTTP on kept connections to one server. Throws `OLLAMA_UNREACHABLE` and the signal's reason. */
export class HttpTransport {
  readonly #base: URL;
  #pool: Pool | undefined;

  /** Paths are taken below `base`, which ends with a slash. */
  constructor(base: URL) {
    this.#base = base;
  }

  /** The absolute address of a path below the server's. */
  url(path: string): URL {
    return new URL(path, this.#base);
  }

  /** Reads the answer whole. */
  async request(method: Dispatcher.HttpMethod, path: string, options: RequestOptions = {}): Promise<Answer> {
    const { statusCode, body } = await this.#send(method, path, options);
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.#bounded(path, body, options.signal)) chunks.push(chunk);
    return { status: statusCode, body: Buffer.concat(chunks).toString('utf8') };
  }

  /** The answer is read by the caller, line by line; leaving it closes the connection, by which the server stops. */
  async stream(path: string, options: RequestOptions): Promise<StreamedAnswer> {
    const { statusCode, body } = await this.#send('POST', path, options);
    return { status: statusCode, lines: linesOf(this.#bounded(path, body, options.signal, { perLine: true })) };
  }

  async close(): Promise<void> {
    const pool = this.#pool;
    this.#pool = undefined;
    await pool?.destroy();
  }

  /** `OLLAMA_BAD_ANSWER` for what is over the limit. */
  async *#bounded(
    path: string,
    body: AsyncIterable<Uint8Array>,
    signal: AbortSignal | undefined,
    { perLine = false } = {},
  ): AsyncGenerator<Uint8Array> {
    let size = 0;
    try {
      for await (const chunk of body) {
        const newline = perLine ? chunk.lastIndexOf(10) : -1;
        size = newline < 0 ? size + chunk.length : chunk.length - newline;
        if (size > maxBytes) break;
        yield chunk;
      }
    } catch (error) {
      throw this.#explain(error, signal, true);
    }
    if (size > maxBytes) throw new OllamaBadAnswerError({ url: this.url(path).href, problem: 'it is over 256 MB' });
  }

  async #send(method: Dispatcher.HttpMethod, path: string, options: RequestOptions): Promise<Dispatcher.ResponseData> {
    const { signal, json, bytes, silenceMs = 60_000 } = options;
    const { Pool } = await undici();
    signal?.throwIfAborted();
    this.#pool ??= new Pool(this.#base.origin, { connections: 64 });
    const { pathname, search } = this.url(path);
    try {
      return await this.#pool.request({
        method,
        path: pathname + search,
        headersTimeout: silenceMs,
        bodyTimeout: silenceMs,
        body: bytes ?? (json === undefined ? null : JSON.stringify(json)),
        ...(json === undefined ? {} : { headers: { 'content-type': 'application/json' } }),
        ...(signal ? { signal } : {}),
      });
    } catch (error) {
      throw this.#explain(error, signal, !isUnheard(error));
    }
  }

  #explain(error: unknown, signal: AbortSignal | undefined, heard: boolean): unknown {
    if (signal?.aborted) return signal.reason;
    const { code, message } = error as NodeJS.ErrnoException;
    const problem = code === 'ECONNREFUSED' ? 'connection refused' : message || String(code);
    return new OllamaUnreachableError({ url: this.#base.href, problem, heard }, { cause: error });
  }
}

/** Nobody was there, so nothing of the request was heard. */
const isUnheard = (error: unknown): boolean => {
  const { code = '' } = error as NodeJS.ErrnoException;
  return ['ECONNREFUSED', 'UND_ERR_CONNECT_TIMEOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND'].includes(code);
};

async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') yield line;
  }
  if (rest.trim() !== '') yield rest;
}
