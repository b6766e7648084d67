import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { type Dispatcher, undici } from '@mgpu/core/http-client';
import { OllamaDownloadError } from '../errors.ts';

export interface DownloadOptions {
  readonly url: string;
  /** What is there already is gone on with. */
  readonly file: string;
  readonly signal: AbortSignal;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly onProgress: (progress: { readonly bytes: number; readonly total: number | undefined }) => void;
}

/** A server that says nothing for this long is given up. */
const silenceMs = 60_000;
const maxRedirections = 5;

/**
 * Appends to a file what is missing of it, over https or http, proxies of the environment heeded. Throws
 * `OLLAMA_DOWNLOAD_FAILED`, and what came is kept; and the signal's reason.
 */
export async function download({ url, file, signal, env, onProgress }: DownloadOptions): Promise<void> {
  const handle = await open(file, 'a', 0o600);
  let bytes = (await handle.stat()).size;
  const dispatcher = await dispatcherOf(env);
  try {
    const answer = await ask(dispatcher, url, bytes, signal);
    const { statusCode, headers } = answer;
    if (statusCode === 416 && sizeOf(headers['content-range']) === bytes) return await discard(answer); // it is whole
    if (statusCode === 416) bytes = await cut(handle, 0); // what is there is no beginning of it
    if (statusCode !== 200 && statusCode !== 206) {
      await discard(answer);
      throw new StatusError(statusCode);
    }
    // A server that knows no ranges begins again.
    if (statusCode === 200) bytes = await cut(handle, 0);
    else if (startOf(headers['content-range']) !== bytes) throw new Error('it sent another part than was asked for');
    const total = statusCode === 206 ? sizeOf(headers['content-range']) : numberOf(headers['content-length']);
    for await (const chunk of answer.body as AsyncIterable<Uint8Array>) {
      await handle.write(chunk);
      bytes += chunk.length;
      onProgress({ bytes, total });
    }
    if (total !== undefined && bytes !== total) throw new Error(`it ended after ${bytes} of ${total} bytes`);
  } catch (cause) {
    signal.throwIfAborted();
    const { code, message } = cause as NodeJS.ErrnoException;
    const refusal = cause instanceof StatusError ? { status: cause.status } : {};
    const problem = code === undefined || message.includes(code) ? message : `${code} ${message}`;
    throw new OllamaDownloadError({ url, problem, bytes: await sizeOnDisk(file), ...refusal }, { cause });
  } finally {
    await handle.close();
    await dispatcher.destroy();
  }
}

class StatusError extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`status ${status}`);
    this.status = status;
  }
}

/** SHA-256 of a file, in hexadecimal digits. */
export async function hashFile(file: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { signal, highWaterMark: 1024 * 1024 })) hash.update(chunk);
  return hash.digest('hex');
}

async function ask(dispatcher: Dispatcher, url: string, from: number, signal: AbortSignal) {
  const { request } = await undici();
  const headers = { 'accept-encoding': 'identity', ...(from > 0 ? { range: `bytes=${from}-` } : {}) };
  return await request(url, { dispatcher, headers, signal, headersTimeout: silenceMs, bodyTimeout: silenceMs });
}

async function dispatcherOf(env: DownloadOptions['env']): Promise<Dispatcher> {
  const { Agent, EnvHttpProxyAgent, interceptors } = await undici();
  const read = (name: string) => env[name.toLowerCase()] || env[name] || undefined;
  const [httpProxy, httpsProxy, noProxy] = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'].map(read);
  const proxies = {
    ...(httpProxy === undefined ? {} : { httpProxy }),
    ...(httpsProxy === undefined ? {} : { httpsProxy }),
    ...(noProxy === undefined ? {} : { noProxy }),
  };
  const agent = httpProxy || httpsProxy ? new EnvHttpProxyAgent(proxies) : new Agent();
  return agent.compose(interceptors.redirect({ maxRedirections }));
}

const discard = ({ body }: Dispatcher.ResponseData): Promise<void> => body.dump();

async function cut(handle: FileHandle, size: number): Promise<number> {
  await handle.truncate(size);
  return size;
}

const sizeOnDisk = (file: string) => stat(file).then(({ size }) => size);

/** Of `Content-Range: bytes 5-9/10`. */
const startOf = (range: string | string[] | undefined) => numberOf(/^bytes (\d+)-/.exec(String(range))?.[1]);
const sizeOf = (range: string | string[] | undefined) => numberOf(/\/(\d+)$/.exec(String(range))?.[1]);
const numberOf = (text: string | string[] | undefined) =>
  typeof text === 'string' && /^\d+$/.test(text) ? Number(text) : undefined;
