import { isOurFault } from '@mgpu/core';
import type { Redis, RedisOptions } from 'ioredis';

/** The answer of one question, or why there is none. `ours`: the fault is on this side and says nothing of the server. */
export type RedisAnswer<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: string; readonly ours: boolean };

const readings: readonly [RegExp, string][] = [
  [/^NOAUTH/, 'it asks for a password and none is configured (NOAUTH)'],
  [/^WRONGPASS|invalid password/, 'it refuses the user name or password (WRONGPASS)'],
  [/^LOADING/, 'it is loading its data (LOADING)'],
  [/^NOPERM/, 'the user may not do this (NOPERM)'],
  [/ECONNREFUSED/, 'connection refused'],
];

/** Asks one question on a connection of its own, without retries. The connection is gone when it settles. */
export async function askRedis<T>(
  url: URL,
  question: (client: Redis) => Promise<T>,
  signal: AbortSignal,
): Promise<RedisAnswer<T>> {
  const client = await clientOf(url);
  // ioredis tells the cause by event alone; the promise only says that the connection is closed.
  let cause: Error | undefined;
  client.on('error', (error: Error) => {
    cause ??= error;
  });
  const cancel = () => client.disconnect();
  signal.addEventListener('abort', cancel, { once: true });
  try {
    signal.throwIfAborted();
    await client.connect();
    return { ok: true, value: await question(client) };
  } catch (error) {
    const failure = cause ?? (error as Error);
    const reason = readings.find(([pattern]) => pattern.test(failure.message))?.[1] ?? failure.message;
    return { ok: false, reason, ours: isOurFault(failure) };
  } finally {
    signal.removeEventListener('abort', cancel);
    client.disconnect();
  }
}

async function clientOf(url: URL): Promise<Redis> {
  // Loaded when needed: whoever only imports the definition does not pay for it.
  const { Redis } = await import('ioredis');
  const once = {
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    enableReadyCheck: false,
    enableOfflineQueue: false,
  } satisfies RedisOptions;
  // ioredis would take the path of a socket as it is escaped in the URL.
  if (url.protocol === 'unix:') return new Redis({ ...once, path: decodeURIComponent(url.pathname) });
  return new Redis(url.href, once);
}

/** What a server says about itself in INFO. */
export interface RedisFacts {
  readonly version: string;
  readonly maxmemoryPolicy: string;
}

/** Version and eviction policy of a server. */
export async function readFacts(client: Redis): Promise<RedisFacts> {
  const info = await client.info();
  const field = (name: string) => new RegExp(`^${name}:(.*)$`, 'm').exec(info)?.[1]?.trim() ?? 'unknown';
  return { version: field('redis_version'), maxmemoryPolicy: field('maxmemory_policy') };
}
