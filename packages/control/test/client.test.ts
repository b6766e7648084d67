import { once } from 'node:events';
import { chmodSync } from 'node:fs';
import { link } from 'node:fs/promises';
import { createServer, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { ControlClient, type MachineEvent } from '@mgpu/control';
import { type JobStatus, MgpuError } from '@mgpu/core';
import { temporaryFolder } from '@mgpu/core/testing';
import { describe, expect, test } from 'vitest';
import { SmallMachine, startControl, startFixture } from './support.ts';

function raw(
  socketPath: string,
  method: string,
  path: string,
  body?: string,
  more: Record<string, string | number> = {},
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...more };
    const request = httpRequest({ socketPath, method, path, headers }, (response) => {
      let text = '';
      response.on('data', (chunk) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
    });
    request.on('error', reject);
    request.end(body);
  });
}

async function allOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

describe('answers', () => {
  test('come in one envelope', async () => {
    await using control = await startControl();
    const { status, body } = await raw(control.socketPath, 'GET', '/v1/status');
    expect(status).toBe(200);
    expect(JSON.parse(body)).toMatchObject({
      apiVersion: 'mgpu/v1',
      kind: 'Status',
      data: { daemon: { pid: process.pid } },
    });
  });

  test('to an unknown path are errors in the same envelope', async () => {
    await using control = await startControl();
    const { status, body } = await raw(control.socketPath, 'GET', '/v1/nothing');
    expect(status).toBe(404);
    expect(JSON.parse(body)).toMatchObject({ kind: 'Error', data: { code: 'CONTROL_REQUEST_INVALID' } });
  });

  test('to a body that is no JSON, or too large, say so', async () => {
    await using control = await startControl();
    const broken = await raw(control.socketPath, 'POST', '/v1/jobs', '{');
    expect(broken.status).toBe(400);
    expect(JSON.parse(broken.body).data).toMatchObject({ code: 'CONTROL_REQUEST_INVALID', retryable: false });
    expect(broken.body).not.toContain('CORE_UNEXPECTED');
    // The length is enough: who is refused by it need not send the rest.
    const length = { 'content-length': 17 * 1024 * 1024, connection: 'close' };
    const large = await raw(control.socketPath, 'POST', '/v1/jobs', '{', length);
    expect(large.status).toBe(413);
    expect(await control.client.status()).toMatchObject({ machineId: 'small' });
  });
});

test('a body that is nested deeper than anybody could write it out again is refused', async () => {
  await using control = await startControl();
  const nested = (levels: number) => `{"type":"comfyui","input":${'['.repeat(levels)}${']'.repeat(levels)}}`;
  expect(await raw(control.socketPath, 'POST', '/v1/jobs', nested(100))).toMatchObject({ status: 201 });
  const refused = await raw(control.socketPath, 'POST', '/v1/jobs', nested(100_000));
  expect({ ...refused, body: JSON.parse(refused.body).data.message }).toEqual({
    status: 400,
    body: 'the request is not valid: body: it is nested more than 200 levels deep',
  });
});

test.each([
  [400, 'x\r\n\r\n'],
  [400, 'POST /v1/up HTTP/1.1\r\nhost: mgpu\r\ncontent-length: -1\r\n\r\n'],
  [431, `GET /v1/status HTTP/1.1\r\nhost: mgpu\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`],
])(
  'what is no HTTP, or too much of it, is answered in the envelope by %i, and hung up on',
  async (status, question) => {
    await using control = await startControl();
    const socket = connect(control.socketPath);
    socket.end(question);
    const [head = '', body = ''] = (await text(socket)).split('\r\n\r\n');
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} .*\r\nconnection: close`, 's'));
    expect(JSON.parse(body)).toMatchObject({ kind: 'Error', data: { code: 'CONTROL_REQUEST_INVALID' } });
  },
);

test('who asks for another protocol is answered in this one, and hung up on', async () => {
  await using control = await startControl();
  const socket = connect(control.socketPath);
  socket.write('GET /v1/boot HTTP/1.1\r\nhost: mgpu\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n');
  expect(await text(socket)).toMatch(/^HTTP\/1.1 200 .*\r\nconnection: close.*"kind":"Boot"/s);
});

test('HEAD of a stream is answered as a whole: its connection goes on, and nobody listens', async () => {
  await using control = await startControl();
  const socket = connect(control.socketPath);
  const heard = text(socket);
  socket.write('HEAD /v1/events HTTP/1.1\r\nhost: mgpu\r\n\r\n');
  socket.write('GET /v1/boot HTTP/1.1\r\nhost: mgpu\r\nconnection: close\r\n\r\n');
  expect(await heard).toMatch(/^HTTP\/1.1 200 OK\r\ncontent-type: text\/event-stream.*"kind":"Boot"/s);
  expect(control.api.history.listening).toBe(0);
});

describe('the client', () => {
  test('moves single instances, and hears of one that is not there', async () => {
    await using control = await startControl();
    const { client, machine } = control;
    expect(await client.stopInstance('one')).toMatchObject({ id: 'one', state: 'running' });
    await client.startInstance('one');
    await client.restartInstance('one', { force: true });
    expect(machine.moves).toEqual(['stop', 'start', 'restart by force']);
    await expect(client.startInstance('two/../one')).rejects.toMatchObject({
      code: 'CORE_SERVICE_UNKNOWN',
      details: { known: ['one'] },
    });
  });

  test('moves several at once, each named once', async () => {
    await using control = await startControl();
    const { client, machine, socketPath } = control;
    expect(await client.operate('start', ['one', 'one'])).toMatchObject([{ instance: { id: 'one' } }]);
    await client.operate('restart', ['one'], { force: true });
    expect(machine.moves).toEqual(['start', 'restart by force']);
    await expect(client.operate('stop', ['one', 'two'])).rejects.toMatchObject({ code: 'CORE_SELECTOR_UNKNOWN' });
    const { status } = await raw(socketPath, 'POST', '/v1/instances/stop', '{"select":"all"}');
    expect(status).toBe(400);
  });

  test('holds an instance for as long as it lives', async () => {
    await using control = await startControl();
    const { machine, socketPath } = control;
    const other = new ControlClient({ socketPath });
    const off = new AbortController();
    await other.holdInstance('one', { why: 'it is changed', signal: off.signal });
    off.abort(); // it was for the waiting
    await control.client.status();
    expect(machine.moves).toEqual(['hold: it is changed']);
    await other.close();
    await machine.released;
    expect(machine.moves).toEqual(['hold: it is changed', 'release']);
    const unknown = control.client.holdInstance('two', { why: 'it is changed' });
    await expect(unknown).rejects.toMatchObject({ code: 'CORE_SERVICE_UNKNOWN' });
  });

  test('says that no daemon runs', async () => {
    using folder = temporaryFolder();
    await using client = new ControlClient({ socketPath: join(folder.path, 'none.sock') });
    await expect(client.status()).rejects.toMatchObject({ code: 'CONTROL_NOT_RUNNING' });
  });

  test('throws what was thrown in the daemon, cure and details included', async () => {
    const machine = new SmallMachine();
    machine.up = () =>
      Promise.reject(
        new MgpuError('the disk is full', {
          code: 'TEST_FULL',
          hint: 'make room',
          retryable: true,
          details: { free: 0 },
        }),
      );
    await using control = await startControl(machine);
    await expect(control.client.up()).rejects.toMatchObject({
      code: 'TEST_FULL',
      message: 'the disk is full',
      hint: 'make room',
      retryable: true,
      details: { free: 0 },
    });
  });

  test('hands on whether to force', async () => {
    await using control = await startControl();
    await control.client.down({ force: true });
    expect(control.machine.downs).toEqual([{ force: true }]);
  });

  test('gets a snapshot first and then what happens, and unsubscribes when it leaves', async () => {
    await using control = await startControl();
    const seen: MachineEvent['event'][] = [];
    for await (const { event } of control.client.events()) {
      seen.push(event);
      if (event === 'snapshot') {
        control.machine.emit({
          event: 'phase',
          data: { name: 'x', critical: true, outcome: 'ok', startedMs: 0, ms: 1, nodes: [] },
        });
      } else break;
    }
    expect(seen).toEqual(['snapshot', 'phase']);
    while (control.api.history.listening > 0) await control.client.status();
  });

  test('stops listening by its signal without an error, whenever that fires', async () => {
    await using control = await startControl();
    const leave = new AbortController();
    const seen: string[] = [];
    for await (const { event } of control.client.events({ signal: leave.signal })) {
      seen.push(event);
      leave.abort();
    }
    for await (const { event } of control.client.events({ signal: leave.signal })) seen.push(event);
    expect(seen).toEqual(['snapshot']);
    await expect(control.client.status({ signal: leave.signal })).rejects.toThrow(leave.signal.reason);
  });

  test('that has left before its stream begins is not kept as a listener', async () => {
    await using control = await startControl();
    const { queue } = control.machine;
    const looked = Promise.withResolvers<void>();
    const found = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<void>();
    queue.get = async () => {
      looked.resolve();
      await found.promise;
      return { id: '1', type: 'comfyui', state: 'active', createdAt: '' };
    };
    queue.watch = async function* (_, { signal } = {}) {
      signal?.addEventListener('abort', () => gone.resolve());
      if (signal?.aborted) gone.resolve();
      await gone.promise;
      yield { event: 'state', state: 'active' };
    };
    const request = httpRequest({ socketPath: control.socketPath, path: '/v1/jobs/1/events' });
    request.on('error', () => {}); // it is cut on purpose
    request.end();
    await looked.promise;
    request.destroy();
    await control.client.status(); // the daemon has seen that the other one left
    found.resolve();
    await gone.promise;
  });

  test('that never reads is dropped before it fills the memory', async () => {
    await using control = await startControl();
    const response = await new Promise<import('node:http').IncomingMessage>((resolve) => {
      httpRequest({ socketPath: control.socketPath, path: '/v1/events' }, resolve).end();
    });
    response.pause();
    const big = { name: 'x'.repeat(100_000), critical: true, outcome: 'ok', startedMs: 0, ms: 1, nodes: [] } as const;
    for (let n = 0; n < 200 && control.api.history.listening > 0; n++) {
      control.machine.emit({ event: 'phase', data: big });
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(control.api.history.listening).toBe(0);
    response.destroy();
  });

  test.each([
    ['asked', 'POST /v1/up', (client: ControlClient) => client.up()],
    ['watched', 'GET /v1/events', (client: ControlClient) => allOf(client.events())],
  ])('says so when the daemon dies while it is %s', async (_, question, ask) => {
    using folder = temporaryFolder();
    const socketPath = join(folder.path, 'mgpu.sock');
    await using client = new ControlClient({ socketPath });
    await using daemon = await startFixture('silent-daemon.mjs', socketPath);
    const lost = expect(ask(client)).rejects.toMatchObject({ code: 'CONTROL_CONNECTION_LOST', retryable: true });
    await daemon.said(question);
    await daemon[Symbol.asyncDispose]();
    await lost;
  });

  test('says so when the daemon hangs, with its process', async () => {
    using folder = temporaryFolder();
    const socketPath = join(folder.path, 'mgpu.sock');
    await using daemon = await startFixture('holds-a-socket.mjs', `${socketPath}.bound`);
    await link(`${socketPath}.bound`, socketPath);
    await using client = new ControlClient({ socketPath, answerTimeoutMs: 100 });
    await expect(client.status()).rejects.toMatchObject({
      code: 'CONTROL_NOT_ANSWERING',
      message: expect.stringContaining(`process ${daemon.pid}`),
      hint: expect.stringContaining(`kill -9 ${daemon.pid}`),
    });
    await expect(client.events()[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      code: 'CONTROL_NOT_ANSWERING',
    });
  });

  test('is answered in the envelope also while the daemon closes', async () => {
    await using control = await startControl();
    const [idle, late] = [connect(control.socketPath), connect(control.socketPath)];
    await Promise.all([once(idle, 'connect'), once(late, 'connect')]);
    const question = 'GET /v1/status HTTP/1.1\r\nhost: mgpu\r\n';
    late.write(question);
    idle.write(`${question}\r\n`);
    await once(idle, 'data'); // by now the other's beginning has been read too
    const stopped = control.service.stop();
    await once(idle.resume(), 'close'); // it is closing
    late.write('connection: close\r\n\r\n');
    expect(await text(late)).toMatch(/^HTTP\/1.1 200 .*"kind":"Status"/s);
    await stopped;
  });

  test('takes what is no envelope for a lost connection', async () => {
    using folder = temporaryFolder();
    const socketPath = join(folder.path, 'mgpu.sock');
    const server = createServer((_, response) => response.writeHead(503).end('{"message":"closing"}'));
    await once(server.listen(socketPath), 'listening');
    await using client = new ControlClient({ socketPath });
    await expect(client.status()).rejects.toMatchObject({ code: 'CONTROL_CONNECTION_LOST' });
    server.closeAllConnections();
    server.close();
  });

  test('tells a path that no socket can have from a daemon that is not there', async () => {
    using folder = temporaryFolder();
    await using far = new ControlClient({ socketPath: join(folder.path, 'x'.repeat(100)) });
    await expect(far.status()).rejects.toMatchObject({ code: 'CORE_SOCKET_PATH' });
  });

  test.skipIf(process.getuid?.() === 0)('of another user is told so', async () => {
    await using control = await startControl();
    chmodSync(control.socketPath, 0);
    await expect(control.client.status()).rejects.toMatchObject({ code: 'CONTROL_FORBIDDEN' });
  });
});

describe('jobs', () => {
  test('are submitted, looked up and watched to their end', async () => {
    await using control = await startControl();
    const id = await control.client.submit({ type: 'comfyui', input: {} });
    const events: string[] = [];
    for await (const { event } of control.client.watch(id)) events.push(event);
    expect(events).toEqual(['progress', 'ended']);
    expect(await control.client.get(id)).toMatchObject({ state: 'cancelled' });
  });

  test('are watched to their end past pictures larger than what a reader may be behind', async () => {
    await using control = await startControl();
    const { queue } = control.machine;
    const last = queue.watch('1');
    queue.watch = async function* () {
      for (let n = 0; n < 3; n++) yield { event: 'preview', mediaType: 'image/png', data: 'A'.repeat(2_000_000) };
      yield* last;
    };
    const events: string[] = [];
    for await (const { event } of control.client.watch('1')) events.push(event);
    expect(events[0]).toBe('preview');
    expect(events.at(-1)).toBe('ended');
  });

  test('with an invalid request are refused with every problem', async () => {
    await using control = await startControl();
    const bad = control.client.submit({ type: 'Not A Type', input: {}, timeoutMs: -1 });
    await expect(bad).rejects.toMatchObject({
      code: 'CONTROL_REQUEST_INVALID',
      message: expect.stringMatching(/type: .*timeoutMs: /s),
    });
  });

  test('are listed by types, states and how many at most', async () => {
    using folder = temporaryFolder();
    const socketPath = join(folder.path, 'mgpu.sock');
    const job: JobStatus = { id: 'write.1', type: 'write', state: 'failed', createdAt: new Date(0).toISOString() };
    const asked: string[] = [];
    const server = createServer(({ method, url }, response) => {
      asked.push(`${method} ${url}`);
      response.end(JSON.stringify({ apiVersion: 'mgpu/v1', kind: 'Jobs', data: [job] }));
    });
    await once(server.listen(socketPath), 'listening');
    await using client = new ControlClient({ socketPath });
    expect(await client.list({ types: ['paint', 'write'], states: ['failed', 'cancelled'], limit: 3 })).toEqual([job]);
    expect(await client.list({ types: ['a&b'] })).toEqual([job]);
    expect(await client.list({ types: [] })).toEqual([]);
    expect(await client.list({ types: ['paint'], states: [] })).toEqual([]);
    expect(asked).toEqual([
      'GET /v1/jobs?type=paint&type=write&state=failed&state=cancelled&limit=3',
      'GET /v1/jobs?type=a%26b',
    ]);
    server.closeAllConnections();
    server.close();
  });

  test('that nobody knows are named', async () => {
    await using control = await startControl();
    await expect(control.client.get('2')).rejects.toMatchObject({ code: 'CORE_JOB_UNKNOWN' });
    await expect(control.client.watch('2').next()).rejects.toMatchObject({ code: 'CORE_JOB_UNKNOWN' });
    await expect(control.client.cancel('2')).rejects.toMatchObject({ code: 'CORE_JOB_UNKNOWN' });
  });
});
