import { spawn } from 'node:child_process';
import { getEventListeners, once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { ComfyUIClient } from '../src/client/comfyui-client.ts';
import { openEvents } from '../src/client/event-socket.ts';
import { startEngine } from './support.ts';

/** A server that answers everything the same way and remembers what it was asked. */
async function answering(status: number, body: string) {
  const asked: { path: string | undefined; headers: IncomingHttpHeaders }[] = [];
  const server = createServer(({ url, headers }, response) => {
    asked.push({ path: url, headers });
    response.writeHead(status).end(body);
  });
  server.on('upgrade', ({ url, headers }, socket) => {
    asked.push({ path: url, headers });
    socket.end('HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    asked,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => void server.close(() => resolve())),
  };
}

test('it sends no Origin, which ComfyUI would refuse, and asks for no compression of events', async () => {
  await using server = await answering(200, '{"exec_info":{"queue_remaining":3}}');
  await using client = new ComfyUIClient({ url: server.url });
  expect(await client.queueLength()).toBe(3);
  await expect(client.events('a b')).rejects.toMatchObject({ code: 'COMFYUI_UNREACHABLE' });
  expect(server.asked.map(({ path }) => path)).toEqual(['/prompt', '/ws?clientId=a%20b']);
  for (const { headers } of server.asked) {
    expect(headers).not.toHaveProperty('origin');
    expect(headers).not.toHaveProperty('sec-websocket-extensions');
  }
});

test('a path in front of the engine is kept', async () => {
  await using server = await answering(200, '{}');
  await using client = new ComfyUIClient(new URL(`${server.url}/comfyui/gpu0`));
  await client.features();
  expect(server.asked[0]?.path).toBe('/comfyui/gpu0/features');
});

test('answers that make no sense are told with what they are', async () => {
  await using nonsense = await answering(200, '<html>');
  await using client = new ComfyUIClient(nonsense.url);
  await expect(client.queue()).rejects.toMatchObject({
    code: 'COMFYUI_BAD_ANSWER',
    message: expect.stringContaining('not JSON: <html>'),
  });
  await using shape = await answering(200, '{"queue_running":[["no number","id"]]}');
  await using other = new ComfyUIClient(shape.url);
  await expect(other.queue()).rejects.toMatchObject({ message: expect.stringContaining('queue_running.0.0') });
  await using forbidden = await answering(403, '');
  await using third = new ComfyUIClient(forbidden.url);
  await expect(third.submit({})).rejects.toMatchObject({
    code: 'COMFYUI_REFUSED',
    details: { status: 403, request: 'POST /prompt' },
  });
});

const picture = { filename: 'a.png', subfolder: '', type: 'output' } as const;

test.each<[string, (client: ComfyUIClient) => Promise<unknown>]>([
  ['queue', (client) => client.queue()],
  ['prompt', (client) => client.submit({})],
  ['queue', (client) => client.deletePending(['a'])],
  ['interrupt', (client) => client.interrupt()],
  ['free', (client) => client.free()],
  ['upload/image', (client) => client.upload('a.png', new Uint8Array(1))],
  ['view?filename=a.png&subfolder=&type=output', (client) => client.view(picture)],
])('an engine in trouble makes no sense at /%s: asked again it may', async (path, ask) => {
  await using server = await answering(500, '500 Internal Server Error\n\nServer got itself in trouble');
  await using client = new ComfyUIClient(server.url);
  await expect(ask(client)).rejects.toMatchObject({
    code: 'COMFYUI_BAD_ANSWER',
    retryable: true,
    message: `ComfyUI gave an answer to ${server.url}/${path} that makes no sense: status 500 500 Internal Server Error`,
  });
});

test.each([
  ['a reader that leaves', 'for await (const event of await client.events("a")) break;'],
  ['a client that closes', 'await client.events("a"); await client.close();'],
  ['a stream that is disposed of', 'await (await client.events("a")).return();'],
])('%s leaves no connection behind, so that a program ends', async (_, use) => {
  await using engine = await startEngine();
  const client = new URL('../dist/index.js', import.meta.url).href;
  const code = `import { ComfyUIClient } from '${client}';
    const client = new ComfyUIClient('${engine.client.url.href}');
    ${use}`;
  const program = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'ignore', 'pipe'] });
  const errors = program.stderr.toArray();
  expect([await once(program, 'exit'), Buffer.concat(await errors).toString()]).toEqual([[0, null], '']);
  await expect.poll(async () => (await engine.state()).sockets).toBe(0);
});

test('closing a client ends what is read from it', async () => {
  await using engine = await startEngine();
  const client = new ComfyUIClient(engine.client.url);
  const events = await client.events('a');
  const read = async () => {
    for await (const _ of events);
  };
  const reading = read();
  await client.close();
  await reading;
});

test('events that cannot be had leave nothing on the signal', async () => {
  await using server = await answering(200, '');
  await using client = new ComfyUIClient(server.url);
  const { signal } = new AbortController();
  await expect(client.events('a', { signal })).rejects.toMatchObject({ code: 'COMFYUI_UNREACHABLE' });
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

test('a handler of events that throws is told and ends nothing', async () => {
  await using engine = await startEngine();
  const told = Promise.withResolvers<string>();
  const onEvent = () => {
    throw new TypeError('oops');
  };
  const handlers = { onEvent, onGarbage: told.resolve, onClose: told.reject };
  const connection = await openEvents(engine.client.url, 'a', handlers);
  expect(await told.promise).toBe('oops');
  connection.close();
});

test('a file above the engine’s limit is told as that', async () => {
  await using engine = await startEngine({ args: ['--max-upload-size', '1'] });
  for (const megabytes of [1, 20]) {
    await expect(engine.client.upload('large.bin', new Uint8Array(megabytes * 1024 ** 2))).rejects.toMatchObject({
      code: 'COMFYUI_UPLOAD_TOO_LARGE',
      message: expect.stringContaining(`large.bin with its ${megabytes} MB`),
      hint: expect.stringContaining('--max-upload-size'),
    });
  }
});
