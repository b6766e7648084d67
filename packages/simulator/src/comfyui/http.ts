// Written out rather than taken from a framework: start-up time is what this program is judged by, and aiohttp's habits
// are part of the protocol.
import { createReadStream } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname } from 'node:path';

export interface Reply {
  readonly status: number;
  readonly headers?: Record<string, string | number>;
  readonly body?: string | Uint8Array;
  readonly file?: { path: string; start: number; end: number };
}

export interface Request {
  readonly query: URLSearchParams;
  readonly params: Record<string, string>;
  readonly raw: IncomingMessage;
  body(): Promise<Buffer>;
  /** Throws SyntaxError on anything but JSON, whatever the content type says. */
  json(): Promise<unknown>;
}

export type Handler = (request: Request) => Reply | Promise<Reply>;
export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH';
  /** Parts in braces match one segment, as in `/history/{id}`. */
  readonly path: string;
  readonly handle: Handler;
  /** Also answers below `/api`. */
  readonly twin?: boolean;
}

export const json = (body: unknown, status = 200): Reply => ({
  status,
  headers: { 'Content-Type': 'application/json; charset=utf-8' },
  body: JSON.stringify(body),
});
export const empty = (status = 200): Reply => ({ status });
export const plain = (status: number, body: string, headers: Record<string, string> = {}): Reply => ({
  status,
  headers: { 'Content-Type': 'text/plain; charset=utf-8', ...headers },
  body,
});

/** aiohttp's answer to an exception in a handler. */
export const brokenRequest = (): Reply =>
  plain(500, '500 Internal Server Error\n\nServer got itself in trouble', { Connection: 'close' });

const CONTENT_TYPES: Record<string, string> = {
  '.css': 'text/css',
  '.flac': 'audio/flac',
  '.gif': 'image/gif',
  '.html': 'text/html',
  '.jpeg': 'image/jpeg',
  '.jpg': 'image/jpeg',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.mp4': 'video/mp4',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain',
  '.wav': 'audio/x-wav',
  '.webm': 'video/webm',
  '.webp': 'image/webp',
};

/** Content type of a file by its name. */
export const contentType = (name: string): string =>
  CONTENT_TYPES[extname(name).toLowerCase()] ?? 'application/octet-stream';

export class TooLarge extends Error {}

/** The whole request body; throws TooLarge beyond the limit. */
export async function readBody(raw: IncomingMessage, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of raw as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit) throw new TooLarge();
    chunks.push(chunk);
  }
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
}

export function send(response: ServerResponse, reply: Reply, headOnly: boolean): void {
  const headers: Record<string, string | number> = { Server: 'Python/3.12 aiohttp/3.14.0', ...reply.headers };
  if (reply.file !== undefined) {
    const { path, start, end } = reply.file;
    response.writeHead(reply.status, { ...headers, 'Content-Length': end - start + 1 });
    if (headOnly || end < start) response.end();
    else
      createReadStream(path, { start, end })
        .on('error', () => response.destroy())
        .pipe(response);
    return;
  }
  const body = reply.body ?? '';
  response.writeHead(reply.status, { ...headers, 'Content-Length': Buffer.byteLength(body) });
  response.end(headOnly ? undefined : body);
}
