import type { Dispatcher, FormData as Form, Pool } from 'undici';
import { ComfyUIBadAnswerError, ComfyUIUnreachableError } from '../errors.ts';
import { maxBytes, undici } from './undici.ts';

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as a form. */
  readonly form?: Readonly<Record<string, string | { readonly name: string; readonly content: Blob }>>;
  /** Milliseconds until the answer must begin. Default 60,000. */
  readonly timeoutMs?: number;
}

export interface Answer {
  readonly status: number;
  readonly body: string;
}

export interface StreamedAnswer {
  readonly status: number;
  readonly mediaType: string | undefined;
  /** Must be read to its end, or left by `break`. */
  readonly body: AsyncIterable<Uint8Array>;
}

/** HTTP on kept connections to one server. Throws `COMFYUI_UNREACHABLE` and the signal's reason. */
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

  /** Reads the answer whole; `COMFYUI_BAD_ANSWER` when it is over 64 MB. */
  async request(method: Dispatcher.HttpMethod, path: string, options: RequestOptions = {}): Promise<Answer> {
    const { statusCode, body } = await this.#send(method, path, options);
    const chunks: Uint8Array[] = [];
    let size = 0;
    try {
      for await (const chunk of body as AsyncIterable<Uint8Array>) {
        chunks.push(chunk);
        size += chunk.length;
        if (size > maxBytes) break;
      }
    } catch (error) {
      throw this.#explain(error, options.signal);
    }
    if (size > maxBytes) throw new ComfyUIBadAnswerError({ url: this.url(path).href, problem: 'it is over 64 MB' });
    return { status: statusCode, body: Buffer.concat(chunks).toString('utf8') };
  }

  /** The answer's body is read by the caller, as it comes. */
  async stream(path: string, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<StreamedAnswer> {
    const { statusCode, headers, body } = await this.#send('GET', path, { signal });
    const explain = (error: unknown) => this.#explain(error, signal);
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

  async close(): Promise<void> {
    const pool = this.#pool;
    this.#pool = undefined;
    await pool?.destroy();
  }

  async #send(method: Dispatcher.HttpMethod, path: string, options: RequestOptions): Promise<Dispatcher.ResponseData> {
    const { signal, json, form, timeoutMs = 60_000 } = options;
    const { Pool, FormData } = await undici();
    signal?.throwIfAborted();
    this.#pool ??= new Pool(this.#base.origin, { connections: 8 });
    const { pathname, search } = this.url(path);
    const body = form ? fill(new FormData(), form) : json === undefined ? null : JSON.stringify(json);
    try {
      return await this.#pool.request({
        method,
        path: pathname + search,
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
        body,
        ...(json === undefined ? {} : { headers: { 'content-type': 'application/json' } }),
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
    return new ComfyUIUnreachableError({ url: this.#base.href, problem }, { cause: error });
  }
}

function fill(into: Form, form: NonNullable<RequestOptions['form']>): Form {
  for (const [key, value] of Object.entries(form)) {
    if (typeof value === 'string') into.append(key, value);
    else into.append(key, value.content, value.name);
  }
  return into;
}
