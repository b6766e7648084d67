import { Agent, type Dispatcher, errors, request } from 'undici';

/** A small HTTP answer, read whole. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

const maxBytes = 4_000_000;

/** One request on a connection of its own, no redirects, at most 4 MB of answer. `socketPath` reaches a Unix socket. */
export async function httpGet(
  url: URL,
  {
    signal,
    socketPath,
    headers = {},
  }: { signal?: AbortSignal; socketPath?: string; headers?: Record<string, string> } = {},
): Promise<HttpAnswer> {
  const agent = new Agent({
    pipelining: 0,
    connections: 1,
    ...(socketPath === undefined ? {} : { connect: { socketPath } }),
  });
  try {
    const options: Omit<Dispatcher.RequestOptions, 'origin' | 'path' | 'method'> = {
      headers,
      ...(signal ? { signal } : {}),
    };
    const response = await request(url, { ...options, dispatcher: agent });
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of response.body) {
      size += (chunk as Buffer).length;
      if (size > maxBytes) break;
      chunks.push(chunk as Buffer);
    }
    return { status: response.statusCode, body: Buffer.concat(chunks).toString('utf8') };
  } finally {
    await agent.destroy();
  }
}

/** Why a request failed, in words. */
export function httpFailure(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code === 'ECONNREFUSED') return 'connection refused';
  if (error instanceof errors.SocketError) return 'connection closed without an answer';
  const reason = error instanceof Error ? error.message || error.name : String(error);
  return code ? `${code}: ${reason}` : reason;
}
