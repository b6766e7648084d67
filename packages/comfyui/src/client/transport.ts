import type { MgpuError } from '@mgpu/core/jobs';
import type { Dispatcher, FormData as Form, Pool } from 'undici';
import { ComfyUIBadAnswerError, ComfyUIUnreachableError } from '../errors.ts';

// Loaded at the first use: it costs a tenth of a second of CPU, and a worker has other things to do while it starts.
let loading: Promise<typeof import('undici')> | undefined;
const undici = () => {
  loading ??= import('undici');
  return loading;
};

/** Only a workflow with everything it carries can be this large. */
const maxBytes = 64 * 1024 * 1024;

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as a form. */
  readonly form?: Readonly<Record<string, string | { readonly name: string; readonly bytes: Uint8Array }>>;
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

export interface SocketHandlers {
  onMessage(data: string | Uint8Array): void;
  /** Once, when the other side ended it; not after `close()`. */
  onClose(problem: string): void;
}

export interface Socket {
  send(text: string): void;
  close(): void;
}

/** HTTP on kept connections, and websockets, to one server. Throws `COMFYUI_UNREACHABLE` and the signal's reason. */
export class Transport {
  readonly #base: URL;
  #pool: Pool | undefined;

  constructor(base: URL) {
    this.#base = new URL(base.href.endsWith('/') ? base.href : `${base.href}/`);
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

  /** Resolves when it is open. The signal matters only until then. */
  async socket(path: string, handlers: SocketHandlers, { signal }: { signal: AbortSignal }): Promise<Socket> {
    const { Agent, WebSocket } = await undici();
    signal.throwIfAborted();
    const agent = new Agent({ webSocket: { maxPayloadSize: maxBytes } });
    const dispatcher = agent.compose(withoutCompression);
    const socket = new WebSocket(this.url(path).href.replace(/^http/, 'ws'), { dispatcher });
    socket.binaryType = 'arraybuffer';
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let state: 'opening' | 'open' | 'over' = 'opening';
    const end = (problem: string) => {
      const before = state;
      state = 'over';
      if (before === 'over') return;
      // Cut, not closed politely: a peer that has died would keep us waiting.
      agent.destroy().catch(() => {}); // nothing uses it any more
      if (before === 'open') handlers.onClose(problem);
      else reject(signal.aborted ? signal.reason : this.#unreachable(problem));
    };
    socket.addEventListener('open', () => {
      state = 'open';
      resolve();
    });
    socket.addEventListener('message', ({ data }: { data: unknown }) => {
      if (state === 'over') return;
      if (typeof data === 'string') handlers.onMessage(data);
      else if (data instanceof ArrayBuffer) handlers.onMessage(new Uint8Array(data));
    });
    socket.addEventListener('error', () => end('the websocket was refused or broke'));
    socket.addEventListener('close', ({ code }) => end(`the websocket was closed (${code})`));
    const onAbort = () => end('cancelled');
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
    const close = () => {
      state = 'over';
      agent.destroy().catch(() => {}); // nothing uses it any more
    };
    return { send: (text) => socket.send(text), close };
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
    return this.#unreachable(code === 'ECONNREFUSED' ? 'connection refused' : message || String(code), error);
  }

  #unreachable(problem: string, cause?: unknown): MgpuError {
    return new ComfyUIUnreachableError({ url: this.#base.href, problem }, { cause });
  }
}

function fill(into: Form, form: NonNullable<RequestOptions['form']>): Form {
  for (const [key, value] of Object.entries(form)) {
    if (typeof value === 'string') into.append(key, value);
    else into.append(key, new Blob([new Uint8Array(value.bytes)]), value.name);
  }
  return into;
}

/** Compressing many small events costs both sides more than sending them, on the machine itself at least. */
const withoutCompression: Dispatcher.DispatcherComposeInterceptor = (dispatch) => (options, handler) => {
  const { 'sec-websocket-extensions': _, ...headers } = options.headers as Record<string, string>;
  return dispatch({ ...options, headers }, handler);
};
