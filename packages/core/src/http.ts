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
export function httpGet(
  url: URL,
  options: { signal?: AbortSignal; socketPath?: string; headers?: Record<string, string> } = {},
): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const { get } = url.protocol === 'https:' ? https : http;
    // By events: an async iteration over so small an answer costs more than the answer.
    get(url, { ...options, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      const answer = () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') });
      response.on('error', reject).once('end', answer);
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size <= maxBytes) return chunks.push(chunk);
        answer();
        response.destroy();
      });
    }).on('error', reject);
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
