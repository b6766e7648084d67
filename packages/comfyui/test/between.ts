import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body: string;
  readonly authorization: string | undefined;
}

/** What becomes of a request: it goes to the engine, its line is cut, or it is answered in the engine's place. */
export type Verdict = 'pass' | 'cut' | { readonly status: number; readonly body: unknown };

export interface Between extends AsyncDisposable {
  readonly url: URL;
  /** All requests so far, upgrades included, e.g. `POST /prompt`. */
  readonly asked: readonly string[];
  /** Who opened websockets: what they said for authorization. */
  readonly upgrades: readonly (string | undefined)[];
  judge: (asked: Asked) => Verdict | Promise<Verdict>;
  /** Cuts all websockets. */
  cutSockets(): void;
}

/** What stands between a client and its engine: passes everything on until a test asks for more. */
export async function between(engine: URL): Promise<Between> {
  const target = { host: engine.hostname, port: Number(engine.port) };
  const asked: string[] = [];
  const upgrades: (string | undefined)[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((incoming, response) => void answer(incoming, response));
  const answer = async (incoming: IncomingMessage, response: ServerResponse) => {
    const { method = 'GET', url: path = '/', headers } = incoming;
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    asked.push(`${method} ${path}`);
    const { authorization } = headers;
    const verdict = await self.judge({ method, path, body: body.toString(), authorization });
    if (verdict === 'cut') return incoming.socket.destroy();
    if (verdict !== 'pass') return response.writeHead(verdict.status).end(JSON.stringify(verdict.body));
    const onward = request({ ...target, method, path, headers, agent: false }, (reply) => {
      response.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(response);
    });
    onward.on('error', () => incoming.socket.destroy());
    return onward.end(body);
  };
  server.on('upgrade', ({ method, url: path, rawHeaders, headers }: IncomingMessage, near: Socket) => {
    asked.push(`${method} ${path?.split('?')[0]}`);
    upgrades.push(headers.authorization);
    const far = connect(target);
    const lines = rawHeaders.map((word, at) => (at % 2 === 0 ? `${word}: ` : `${word}\r\n`)).join('');
    far.write(`${method} ${path} HTTP/1.1\r\n${lines}\r\n`);
    near.pipe(far).pipe(near);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.on('error', () => one.destroy());
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const self: Between = {
    url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    asked,
    upgrades,
    judge: () => 'pass',
    cutSockets: () => {
      for (const each of sockets) each.destroy();
    },
    async [Symbol.asyncDispose]() {
      self.cutSockets();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return self;
}
