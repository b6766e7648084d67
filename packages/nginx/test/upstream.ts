import { createHash } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage, request } from 'node:http';
import type { Socket } from 'node:net';
import type { Endpoint } from '@mgpu/core';

/** What the stand-in engine says of a request it got. */
export interface Echo {
  readonly gpu: number;
  readonly method: string;
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly bytes: number;
}

/** An engine that tells what it was asked, and echoes websocket messages with its GPU in front. */
export interface Upstream extends AsyncDisposable {
  readonly endpoint: Endpoint;
  /** Resolves when one request has had so many bytes. */
  received(bytes: number): Promise<void>;
}

/** The port is the caller's to lease. */
export async function startUpstream(gpu: number, port: number): Promise<Upstream> {
  const sockets = new Set<Socket>();
  const progress = new EventEmitter();
  let most = 0;
  const server = createServer((question, answer) => {
    let bytes = 0;
    question.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      most = Math.max(most, bytes);
      progress.emit('bytes');
    });
    question.once('end', () => {
      const { method, url, headers } = question;
      answer.setHeader('content-type', 'application/json');
      answer.end(JSON.stringify({ gpu, method, url, headers, bytes }));
    });
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('upgrade', (question, stream) => {
    const accept = createHash('sha1')
      .update(`${question.headers['sec-websocket-key']}${webSocketGuid}`)
      .digest('base64');
    stream.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    stream.on('data', (frame: Buffer) => stream.write(textFrame(`${gpu} ${question.url} ${unmask(frame)}`)));
    stream.on('error', () => stream.destroy()); // the proxy cut it
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(`http://127.0.0.1:${port}`);
  return {
    async received(bytes) {
      while (most < bytes) await once(progress, 'bytes');
    },
    endpoint: { instance: `comfyui_gpu${gpu}`, kind: 'comfyui', gpu, url },
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** RFC 6455 §1.3. */
const webSocketGuid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** An unmasked text frame of fewer than 126 bytes. */
const textFrame = (text: string) => Buffer.concat([Buffer.from([0x81, Buffer.byteLength(text)]), Buffer.from(text)]);

/** The text of a masked frame of fewer than 126 bytes. */
function unmask(frame: Buffer): string {
  const mask = frame.subarray(2, 6);
  return Buffer.from(frame.subarray(6).map((byte, index) => byte ^ (mask[index % 4] ?? 0))).toString('utf8');
}

/** An open websocket, driven by hand so that its handshake is seen. */
export interface Tunnel extends Disposable {
  readonly handshake: IncomingMessage;
  /** Sends a text and gives the answer. */
  say(text: string): Promise<string>;
  readonly closed: Promise<unknown>;
}

export async function openWebSocket(url: URL, headers: Record<string, string> = {}): Promise<Tunnel> {
  const question = request(url, {
    agent: false,
    headers: {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      ...headers,
    },
  });
  question.end();
  const [handshake, socket] = (await once(question, 'upgrade')) as [IncomingMessage, Socket];
  socket.on('error', () => {}); // being cut is what some tests are about
  return {
    handshake,
    async say(text) {
      // A mask of zeros leaves the text as it is.
      socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | Buffer.byteLength(text), 0, 0, 0, 0]), Buffer.from(text)]));
      const [frame] = (await once(socket, 'data')) as [Buffer];
      return frame.subarray(2).toString('utf8');
    },
    closed: once(socket, 'close'),
    [Symbol.dispose]: () => socket.destroy(),
  };
}
