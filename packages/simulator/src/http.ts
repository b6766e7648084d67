// Written out rather than taken from a framework: start-up time is what these programs are judged by, and the habits of
// their frameworks are part of the protocols.
import { createReadStream } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';

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
  const headers = reply.headers ?? {};
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
