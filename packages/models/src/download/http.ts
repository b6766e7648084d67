import { systemClock } from '@mgpu/core';
import type { Dispatcher } from 'undici';
import { BadAnswerError, BusyError, NotFoundError, RedirectError, RefusedError, UnreachableError } from '../errors.ts';
import { plainAddress, type SourceRequest } from '../sources/source.ts';

type Headers = Readonly<Record<string, string | undefined>>;

/** An answer whose body comes as it is read. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Headers;
  /** Of the first answer, where there were redirects. */
  readonly firstHeaders: Headers;
  /** Must be read, or let go of with `discard`. Throws `MODELS_UNREACHABLE` and the signal's reason. */
  readonly body: AsyncIterable<Uint8Array>;
  discard(): Promise<void>;
}

export interface AskOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told when we are not let in. */
  readonly needs: string;
}

const maxRedirects = 8;
const maxTextBytes = 16_000_000;
const headersTimeoutMs = 60_000;

/** HTTP with redirects that do not carry credentials elsewhere. The library is loaded at the first request. */
export class Http implements AsyncDisposable {
  readonly #env: Readonly<Record<string, string | undefined>>;
  #loading: Promise<{ request: typeof import('undici')['request']; dispatcher: Dispatcher }> | undefined;

  /** `env`: where a proxy is named (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`). */
  constructor(env: Readonly<Record<string, string | undefined>>) {
    this.#env = env;
  }

  /**
   * A GET. Throws `MODELS_UNREACHABLE`, `MODELS_REDIRECT`, `MODELS_BAD_ANSWER`; a status that is no success is the caller's
   * to judge.
   */
  async open({ url, credentials }: SourceRequest, own: Headers, signal?: AbortSignal): Promise<HttpAnswer> {
    let at = url;
    let secrets: Headers = credentials;
    let firstHeaders: Headers | undefined;
    for (let redirects = 0; ; redirects++) {
      const { statusCode, headers, body } = await this.#send(at, { ...own, ...secrets }, signal);
      const told = plainHeaders(headers);
      firstHeaders ??= told;
      const { location } = told;
      if (![301, 302, 303, 307, 308].includes(statusCode) || location === undefined) {
        const explain = (error: unknown) => this.#explain(at, error, signal);
        const discard = () => letGo(body);
        return { status: statusCode, headers: told, firstHeaders, body: readAll(body, explain), discard };
      }
      await letGo(body);
      const next = this.#redirected(at, location, redirects);
      // For good: a host that sends us on and back again must not get them either.
      if (next.origin !== at.origin) secrets = {};
      at = next;
    }
  }

  /** A small answer, read whole. Throws as `open` does, and what `expectSuccess` throws. */
  async text(request: SourceRequest, { needs, signal }: AskOptions): Promise<string> {
    const answer = await this.open(request, {}, signal);
    await expectSuccess(answer, request.url, needs);
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of answer.body) {
      size += chunk.length;
      if (size > maxTextBytes) {
        throw new BadAnswerError({ url: plainAddress(request.url), problem: 'it is over 16 MB', mayPass: false });
      }
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  }

  async json(request: SourceRequest, options: AskOptions): Promise<object> {
    const text = await this.text(request, options);
    try {
      const value: unknown = JSON.parse(text);
      if (typeof value === 'object' && value !== null) return value;
    } catch {
      // told below
    }
    throw new BadAnswerError({ url: plainAddress(request.url), problem: 'it is no JSON object', mayPass: false });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const loading = this.#loading;
    this.#loading = undefined;
    await (await loading)?.dispatcher.destroy();
  }

  async #send(url: URL, headers: Headers, signal: AbortSignal | undefined): Promise<Dispatcher.ResponseData> {
    signal?.throwIfAborted();
    this.#loading ??= this.#load();
    const { request, dispatcher } = await this.#loading;
    const given = Object.entries({ 'user-agent': 'mgpu', 'accept-encoding': 'identity', ...headers });
    try {
      return await request(url, {
        dispatcher,
        headers: Object.fromEntries(given.filter((pair): pair is [string, string] => pair[1] !== undefined)),
        ...(signal ? { signal } : {}),
      });
    } catch (error) {
      throw this.#explain(url, error, signal);
    }
  }

  async #load() {
    const { EnvHttpProxyAgent, request } = await import('undici');
    const named = (name: string) => this.#env[name.toLowerCase()] ?? this.#env[name] ?? '';
    const dispatcher = new EnvHttpProxyAgent({
      httpProxy: named('HTTP_PROXY'),
      httpsProxy: named('HTTPS_PROXY'),
      noProxy: named('NO_PROXY'),
      headersTimeout: headersTimeoutMs,
      // How fast a body has to come is for whoever reads it to say.
      bodyTimeout: 0,
    });
    return { request, dispatcher };
  }

  #redirected(from: URL, location: string, redirects: number): URL {
    const url = plainAddress(from);
    const refuse = (to: string, problem: string) => new RedirectError({ url, to, problem });
    if (!URL.canParse(location, from.href)) throw refuse(location, 'it is no address');
    const next = new URL(location, from);
    const to = plainAddress(next);
    if (redirects >= maxRedirects) throw refuse(to, `it is the ${maxRedirects + 1}th in a row`);
    if (next.protocol !== 'https:' && next.protocol !== from.protocol) throw refuse(to, 'it leaves https');
    return next;
  }

  #explain(url: URL, error: unknown, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted) return signal.reason;
    const { code, message } = error as NodeJS.ErrnoException;
    const problem = code === 'ECONNREFUSED' ? 'connection refused' : message || String(code);
    return new UnreachableError({ url: plainAddress(url), problem }, { cause: error });
  }
}

/** Throws `MODELS_NOT_FOUND`, `MODELS_REFUSED`, `MODELS_BUSY`, `MODELS_BAD_ANSWER` for what is no success, and lets go of its body. */
export async function expectSuccess(answer: HttpAnswer, at: URL, needs: string): Promise<void> {
  const { status } = answer;
  if (status === 200 || status === 206) return;
  await answer.discard();
  const url = plainAddress(at);
  if (status === 404 || status === 410) throw new NotFoundError({ url, status });
  if (status === 401 || status === 403) throw new RefusedError({ url, status, needs });
  const waitMs = status === 429 || status === 503 ? retryAfterMs(answer.headers) : undefined;
  if (waitMs !== undefined) throw new BusyError({ url, status, waitMs });
  const mayPass = status >= 500 || status === 408 || status === 425 || status === 429;
  throw new BadAnswerError({ url, problem: `status ${status}`, mayPass });
}

/** Milliseconds after which a host wants to be asked again; undefined where it does not say. RFC 9110 §10.2.3. */
function retryAfterMs({ 'retry-after': value = '', date }: Headers): number | undefined {
  if (/^\d+$/.test(value)) return Number(value) * 1_000;
  const at = Date.parse(value);
  if (Number.isNaN(at)) return undefined;
  // By the host's own clock, where it tells: ours may be another.
  const now = Date.parse(date ?? '');
  return Math.max(0, at - (Number.isNaN(now) ? systemClock.now() : now));
}

async function* readAll(body: Dispatcher.ResponseData['body'], explain: (error: unknown) => unknown) {
  try {
    for await (const chunk of body) yield chunk as Uint8Array;
  } catch (error) {
    throw explain(error);
  }
}

/** Closes its connection: what is not wanted may be gigabytes. */
async function letGo(body: Dispatcher.ResponseData['body']): Promise<void> {
  body.on('error', () => {});
  body.destroy();
}

function plainHeaders(headers: Dispatcher.ResponseData['headers']): Headers {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value[0] : value]),
  );
}
