import { createHash } from 'node:crypto';
import { Redis, type RedisOptions } from 'ioredis';
import { RedisUrlError } from './errors.ts';

export type RedisClient = Redis;

/** ioredis' own type does not go with `exactOptionalPropertyTypes`. */
type LinkOptions = Omit<RedisOptions, 'replyMapping'>;

export interface RedisLinkOptions {
  /** `redis://…`, `rediss://…` or `unix:///path/to.sock`. */
  readonly url: string;
  /** True: a command waits for the connection, however long. Default false: it fails. One under way is sent again after a break. */
  readonly patient?: boolean;
  /** Milliseconds after which an unanswered command fails. Default: never. */
  readonly commandTimeoutMs?: number;
}

/** A Lua script, sent in full only when the server does not have it. */
export interface RedisScript {
  readonly lua: string;
  readonly sha: string;
}

export const redisScript = (lua: string): RedisScript => ({ lua, sha: createHash('sha1').update(lua).digest('hex') });

const connectMs = 5_000;
const mostPauseMs = 1_000;
/** A connection that owes an answer this long is dead; longer than any command blocks. */
const silentMs = 12_000;
/** Whoever lost its connection while Redis was away has it again this long after Redis is back. */
export const reconnectMs = connectMs + mostPauseMs;

/** One connection that comes back by itself, and knows why it is not there. */
export class RedisLink {
  readonly url: string;
  readonly client: RedisClient;
  readonly #listeners = new Set<() => void>();
  #problem: string | undefined;
  #tried = false;

  constructor({ url, patient = false, commandTimeoutMs }: RedisLinkOptions) {
    this.url = url;
    const options: LinkOptions = {
      maxRetriesPerRequest: null,
      enableOfflineQueue: patient,
      retryStrategy: (times: number) => Math.min(50 * 2 ** times, mostPauseMs),
      connectTimeout: connectMs,
      socketTimeout: silentMs,
      disableClientInfo: true,
      ...(commandTimeoutMs === undefined ? {} : { commandTimeout: commandTimeoutMs }),
    };
    this.client = connect(url, options);
    this.client.on('ready', () => this.#became(undefined));
    this.client.on('error', (error: NodeJS.ErrnoException) => this.#became(error.code ?? error.message));
    this.client.on('close', () => this.#became(this.#problem ?? 'the connection was closed'));
  }

  get connected(): boolean {
    return this.client.status === 'ready';
  }

  /** `connecting` until the first attempt has succeeded or failed. */
  get state(): 'connecting' | 'connected' | 'unreachable' {
    if (this.connected) return 'connected';
    return this.#tried ? 'unreachable' : 'connecting';
  }

  /** Why there is no connection. */
  get problem(): string {
    return this.#problem ?? 'no answer yet';
  }

  /** Tells of every change of `state` or `problem`. Returns the function that unsubscribes. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async run(script: RedisScript, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    try {
      return await this.client.evalsha(script.sha, keys.length, ...keys, ...args);
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
      return this.client.eval(script.lua, keys.length, ...keys, ...args);
    }
  }

  /** Fields of a hash, whether a key exists, and the position of a stream, all at the same moment. */
  async snapshot(
    hash: string,
    fields: readonly string[],
    key: string,
    stream: string,
  ): Promise<{ values: readonly (string | null)[]; locked: boolean; at: string }> {
    const [values, exists, newest] = (await this.atOnce([
      ['hmget', hash, ...fields],
      ['exists', key],
      ['xrevrange', stream, '+', '-', 'COUNT', 1],
    ])) as [string[], number, [string][]];
    return { values, locked: exists === 1, at: newest[0]?.[0] ?? '0-0' };
  }

  /** The answers of several commands, all at the same moment. */
  async atOnce(commands: readonly (readonly (string | number)[])[]): Promise<readonly unknown[]> {
    const answers = await this.client.multi(commands.map((each) => [...each])).exec();
    const problem = answers?.find(([error]) => error)?.[0];
    if (problem) throw problem;
    return (answers ?? []).map(([, answer]) => answer);
  }

  /** Asks for a sign of life where none is owed, so that a dead connection is noticed. */
  probe(): void {
    // Its failure is told as a change of state.
    if (this.connected) this.client.ping().catch(() => {});
  }

  /** A connection of its own for blocking reads or subscriptions; its commands wait for it. Closed by whoever asked. */
  duplicate(): RedisLink {
    return new RedisLink({ url: this.url, patient: true });
  }

  close(): void {
    this.#listeners.clear();
    this.client.disconnect();
  }

  #became(problem: string | undefined): void {
    const changed = !this.#tried || this.#problem !== problem;
    this.#tried = true;
    this.#problem = problem;
    if (changed) for (const each of [...this.#listeners]) each();
  }
}

function connect(url: string, options: LinkOptions): RedisClient {
  if (!URL.canParse(url)) throw new RedisUrlError({ url });
  const { protocol, pathname } = new URL(url);
  if (protocol === 'unix:') return new Redis({ ...options, path: decodeURIComponent(pathname) });
  if (protocol === 'redis:' || protocol === 'rediss:') return new Redis(url, options);
  throw new RedisUrlError({ url });
}
