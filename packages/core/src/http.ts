import type { IncomingMessage, RequestOptions } from 'node:http';

// An `import` of node:http reads all its exports, among them the getter of WebSocket, which loads undici: 40 ms of CPU.
const http = process.getBuiltinModule('node:http');
const https = process.getBuiltinModule('node:https');

/** A small HTTP answer, read whole. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

const maxBytes = 4_000_000;

/** One request on a connection of its own, no redirects, at most 4 MB of answer. `socketPath` reaches a Unix socket. */
export async function httpGet(
  url: URL,
  options: { signal?: AbortSignal; socketPath?: string; headers?: Record<string, string> } = {},
): Promise<HttpAnswer> {
  const response = await answerOf(url, { ...options, agent: false });
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    size += (chunk as Buffer).length;
    if (size > maxBytes) break;
    chunks.push(chunk as Buffer);
  }
  return { status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') };
}

function answerOf(url: URL, options: RequestOptions): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'https:' ? https : http).request(url, options, resolve);
    request.once('error', reject);
    request.end();
  });
}

/** Why a request failed, in words. */
export function httpFailure(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ECONNREFUSED') return 'connection refused';
  if (code === 'ECONNRESET') return 'connection closed without an answer';
  const reason = error instanceof Error ? error.message || error.name : String(error);
  return code ? `${code}: ${reason}` : reason;
}
