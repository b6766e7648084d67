import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Between extends AsyncDisposable {
  readonly url: URL;
  /** All requests so far, e.g. `POST /sdapi/v1/txt2img`. */
  readonly asked: readonly string[];
  /** What becomes of a request: it goes to the engine, or goes there and its line is cut a moment later. */
  judge: (asked: string) => Promise<'pass' | 'cut'>;
}

/** What stands between a client and its engine: passes everything on until a test asks for more. */
export async function between(engine: URL): Promise<Between> {
  const target = { host: engine.hostname, port: Number(engine.port) };
  const asked: string[] = [];
  const server = createServer((incoming, response) => void answer(incoming, response));
  async function answer(incoming: IncomingMessage, response: ServerResponse) {
    const { method = 'GET', url: path = '/', headers } = incoming;
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const name = `${method} ${path.split('?')[0]}`;
    asked.push(name);
    const onward = request({ ...target, method, path, headers, agent: false }, (reply) => {
      response.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(response);
    });
    onward.on('error', () => incoming.socket.destroy());
    onward.end(Buffer.concat(chunks));
    if ((await self.judge(name)) === 'cut') incoming.socket.destroy();
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const self: Between = {
    url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    asked,
    judge: async () => 'pass',
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return self;
}
