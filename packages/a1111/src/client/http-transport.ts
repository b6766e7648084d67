import type { Pool } from 'undici';
import { A1111BadAnswerError, A1111UnreachableError } from '../errors.ts';
import { undici } from './undici.ts';

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Milliseconds until the answer must begin; 0: as long as it takes. Default 60,000. */
  readonly timeoutMs?: number;
}

export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** A request with all its pictures, in base64. */
const maxBytes = 512 * 1024 * 1024;
const bodyTimeoutMs = 60_000;

/** HTTP on kept connections to one server. Throws `A1111_UNREACHABLE` and the signal's reason. */
export class HttpTransport {
  readonly #base: URL;
  readonly #authorization: string | undefined;
  #pool: Pool | undefined;

  /** Paths are taken below `base`, which ends with a slash; `user:password` in it is sent as HTTP Basic. */
  constructor(base: URL) {
    const { username, password } = base;
    this.#base = new URL(base);
    this.#base.username = '';
    this.#base.password = '';
    if (username === '' && password === '') return;
    const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    this.#authorization = `Basic ${Buffer.from(credentials).toString('base64')}`;
  }

  /** Reads the answer whole; `A1111_BAD_ANSWER` when it is over 512 MB. */
  async request(method: 'GET' | 'POST', path: string, options: RequestOptions = {}): Promise<Answer> {
    const { signal, json, timeoutMs = 60_000 } = options;
    const { Pool } = await undici();
    signal?.throwIfAborted();
    // One for the job, the others for what is asked about it meanwhile.
    this.#pool ??= new Pool(this.#base.origin, { connections: 4 });
    const { pathname, search, href } = new URL(path, this.#base);
    const chunks: Uint8Array[] = [];
    let size = 0;
    try {
      const { statusCode, body } = await this.#pool.request({
        method,
        path: pathname + search,
        headersTimeout: timeoutMs,
        bodyTimeout: bodyTimeoutMs,
        body: json === undefined ? null : JSON.stringify(json),
        headers: {
          ...(json === undefined ? {} : { 'content-type': 'application/json' }),
          ...(this.#authorization === undefined ? {} : { authorization: this.#authorization }),
        },
        ...(signal ? { signal } : {}),
      });
      for await (const chunk of body as AsyncIterable<Uint8Array>) {
        chunks.push(chunk);
        size += chunk.length;
        if (size > maxBytes) break;
      }
      if (size <= maxBytes) return { status: statusCode, body: Buffer.concat(chunks).toString('utf8') };
    } catch (error) {
      throw this.#explain(error, signal);
    }
    throw new A1111BadAnswerError({ url: href, problem: 'it is over 512 MB' });
  }

  async close(): Promise<void> {
    const pool = this.#pool;
    this.#pool = undefined;
    await pool?.destroy();
  }

  #explain(error: unknown, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted) return signal.reason;
    const { code, message } = error as NodeJS.ErrnoException;
    const problem = code === 'ECONNREFUSED' ? 'connection refused' : message || String(code);
    return new A1111UnreachableError({ url: this.#base.href, problem }, { cause: error });
  }
}
