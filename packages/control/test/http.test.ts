import { once } from 'node:events';
import { chmodSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { ControlApi, ensureToken, http, rotateToken } from '@mgpu/control';
import { fakeClock, leasePorts, serviceConformance, temporaryFolder, testContext } from '@mgpu/core/testing';
import { describe, expect, test } from 'vitest';
import { endpoints, pathOf } from '../src/api/endpoints.ts';
import { messagesOf, SmallMachine, startHttp } from './support.ts';

const lease = await leasePorts(1);

serviceConformance({
  test,
  definition: http({ api: () => new ControlApi(new SmallMachine()) }),
  context: () => testContext({ kind: 'http' }),
  config: { port: lease.first },
});

const filledIn = { id: 'one', operation: 'x', name: 'one', '*': 'x' };
const all = Object.entries(endpoints).map(([id, endpoint]) => ({
  id,
  ...endpoint,
  url: pathOf(id as keyof typeof endpoints, filledIn),
}));

test('the README has all that can be asked, and nothing else', () => {
  const readme = readFileSync(join(import.meta.dirname, '../README.md'), 'utf8');
  const told = [...readme.matchAll(/`((?:GET|POST|DELETE) \/\S*?)`/g)].map(([, request = '']) => request);
  const known = all.map(({ method, path }) => `${method} ${path}`);
  expect([...new Set(told)].toSorted()).toEqual(known.toSorted());
});

describe('whoever shows no token', () => {
  test.each([
    ['none', null],
    ['another one', 'x'.repeat(43)],
    ['an empty one', ''],
  ])('(%s) sees that the machine is there, and nothing else', async (_, token) => {
    await using machine = await startHttp();
    for (const { method, url, access } of all) {
      const { status, json } = await machine.ask(url, { method, token });
      expect(status, `${method} ${url}`).toBe(access === 'open' ? 200 : 401);
      if (access !== 'open') expect(json).toMatchObject({ kind: 'Error', data: { code: 'CONTROL_UNAUTHORIZED' } });
    }
    expect((await machine.ask('/v1/no-such-thing', { token })).status).toBe(401);
    expect((await machine.ask('/health', { token })).json).toEqual({
      healthy: true,
      state: 'running',
      uptime: expect.any(Number),
    });
    expect(machine.machine.moves).toEqual([]);
  });

  test('is let in where the configuration says so, on loopback alone', async () => {
    await using machine = await startHttp({ auth: false });
    expect((await machine.ask('/v1/status', { token: null })).status).toBe(200);
    await expect(startHttp({ auth: false, host: '0.0.0.0' })).rejects.toMatchObject({ code: 'CONTROL_UNPROTECTED' });
  });
});

describe('the token', () => {
  test('is in a file of mode 0600, and opens everything', async () => {
    await using machine = await startHttp();
    expect(statSync(machine.tokenFile).mode & 0o777).toBe(0o600);
    expect(machine.token).toMatch(/^[\w-]{43}$/);
    const { json } = await machine.ask('/health');
    expect(json.services).toEqual({ one: { healthy: true, status: 'running', restarts: 0 } });
    expect((await machine.ask('/v1/status')).json).toMatchObject({ kind: 'Status', data: { machineId: 'small' } });
  });

  test('that is renewed counts from the next request on, and ends the streams of the former one', async () => {
    const clock = fakeClock();
    await using machine = await startHttp({}, { clock });
    const events = await machine.begin('/v1/events');
    expect(await messagesOf(events, 1)).toMatchObject([{ data: { event: 'snapshot' } }]);
    const stream = await machine.begin('/v1/events');
    const token = await rotateToken(machine.tokenFile);
    expect((await machine.ask('/v1/status')).status).toBe(401);
    expect((await machine.ask('/v1/status', { token })).status).toBe(200);
    const ended = once(stream.resume(), 'end');
    await clock.advance(15_000);
    await ended;
    expect(machine.api.history.listening).toBe(0);
  });

  test('that cannot be read any more ends the streams, and the daemon goes on', async () => {
    const clock = fakeClock();
    await using machine = await startHttp({}, { clock });
    const stream = await machine.begin('/v1/events');
    chmodSync(machine.tokenFile, 0o644);
    const ended = once(stream.resume(), 'end');
    await clock.advance(15_000);
    await ended;
    chmodSync(machine.tokenFile, 0o600);
    const another = await machine.begin('/v1/events');
    await rotateToken(machine.tokenFile);
    const endedToo = once(another.resume(), 'end');
    await clock.advance(15_000);
    await endedToo; // it is looked at as before
  });

  test.each([['that others can read', (path: string) => chmodSync(path, 0o644), 'others may read it \\(mode 644\\)']])(
    '%s opens nothing',
    async (_, spoil, problem) => {
      await using machine = await startHttp();
      spoil(machine.tokenFile);
      const { status, json } = await machine.ask('/v1/status');
      expect(status).toBe(503);
      expect(json.data).toMatchObject({ code: 'CONTROL_TOKEN', message: expect.stringMatching(problem) });
      expect((await machine.ask('/live', { token: null })).status).toBe(200);
    },
  );

  test('is made once, and is whole for whoever comes at the same time', async () => {
    using dir = temporaryFolder('tokens-');
    for (let round = 0; round < 200; round++) {
      const path = join(dir.path, String(round), 'http-token');
      const tokens = await Promise.all(Array.from({ length: 8 }, () => ensureToken(path)));
      expect(new Set(tokens).size).toBe(1);
    }
  });

  test('may be given by the configuration', async () => {
    const token = 'a-token-of-the-configuration-itself';
    await using machine = await startHttp({ token });
    expect(machine.token).toBe(''); // no file
    expect((await machine.ask('/v1/status', { token })).status).toBe(200);
    expect((await machine.ask('/v1/status', { token: `${token}.` })).status).toBe(401);
  });
});

describe('pages of others', () => {
  test.each(['evil.example', 'evil.example:80', 'localhost.evil.example', '127.0.0.1.evil.example'])(
    'that call our address %j are refused (DNS rebinding)',
    async (host) => {
      await using machine = await startHttp();
      const { status, json } = await machine.ask('/v1/status', { headers: { host } });
      expect(status).toBe(403);
      expect(json.data.code).toBe('CONTROL_FOREIGN_REQUEST');
    },
  );

  test.each(['localhost', '127.0.0.1:9090', '10.1.2.3', '[::1]:9090', 'gpu-box.example:443'])(
    'ask under our own names, such as %s',
    async (host) => {
      await using machine = await startHttp({ hosts: ['gpu-box.example'] });
      expect((await machine.ask('/v1/status', { headers: { host } })).status).toBe(200);
    },
  );

  test('are known by their Origin', async () => {
    await using machine = await startHttp({ origins: ['https://monitor.example'] });
    const from = (origin: string, method = 'GET') => machine.ask('/v1/status', { method, headers: { origin } });
    for (const origin of ['https://evil.example', 'null', 'https://monitor.example.evil.example'])
      expect((await from(origin)).status, origin).toBe(403);
    const { status, headers } = await from('https://monitor.example');
    expect(status).toBe(200);
    expect(headers).toMatchObject({ 'access-control-allow-origin': 'https://monitor.example', vary: 'Origin' });
    const stream = await machine.begin('/v1/events', { headers: { origin: 'https://monitor.example' } });
    stream.destroy();
    expect(stream.headers).toMatchObject({
      'access-control-allow-origin': 'https://monitor.example',
      'x-content-type-options': 'nosniff',
      'content-type': 'text/event-stream',
    });
    const preflight = await machine.ask('/v1/jobs', {
      method: 'OPTIONS',
      token: null,
      headers: { origin: 'https://monitor.example', 'access-control-request-method': 'POST' },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers['access-control-allow-headers']).toContain('Authorization');
    expect((await from(`http://127.0.0.1:${machine.port}`)).status).toBe(200); // our own
  });

  test('get headers that keep a browser from making anything of an answer', async () => {
    await using machine = await startHttp();
    for (const path of ['/v1/status', '/nothing'])
      expect((await machine.ask(path)).headers).toMatchObject({
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
        'referrer-policy': 'no-referrer',
      });
  });
});

test('whoever names no host is no browser: a probe that speaks HTTP/1.0', async () => {
  await using machine = await startHttp();
  const socket = connect(machine.port, '127.0.0.1');
  socket.end('GET /live HTTP/1.0\r\n\r\n');
  expect(await text(socket)).toMatch(/^HTTP\/1\.[01] 200 [\s\S]*\{"live":true\}$/);
});

describe('limits', () => {
  test('on requests of one address', async () => {
    await using machine = await startHttp({ requestsPerSecond: 3 });
    const asked = await Promise.all(Array.from({ length: 10 }, () => machine.ask('/v1/status')));
    const refused = asked.filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThanOrEqual(4); // two seconds may have begun
    expect(refused[0]?.json.data).toMatchObject({ code: 'CONTROL_TOO_MANY_REQUESTS', retryable: true });
    expect(refused[0]?.headers['retry-after']).toBe('1');
    expect((await machine.ask('/live', { token: null })).status).toBe(200); // whoever else asks much
  });

  test('on streams', async () => {
    await using machine = await startHttp({ maxStreams: 2 });
    const streams = [await machine.begin('/v1/events'), await machine.begin('/v1/events')];
    const { status, json } = await machine.ask('/v1/events');
    expect([status, json.data.code]).toEqual([503, 'CONTROL_TOO_MANY_STREAMS']);
    const submitted: unknown[] = [];
    machine.machine.queue.submit = async (job) => String(submitted.push(job));
    const job = { method: 'POST', body: { type: 'comfyui', input: {} }, headers: { accept: 'text/event-stream' } };
    expect((await machine.ask('/v1/jobs', job)).status).toBe(503);
    expect(submitted).toEqual([]); // else whoever tries again has two
    for (const each of streams) each.destroy();
  });

  test('on connections', async () => {
    await using machine = await startHttp({ maxConnections: 2 });
    const open = [1, 2].map(() => connect(machine.port, '127.0.0.1'));
    await Promise.all(open.map((each) => once(each, 'connect')));
    await expect(machine.ask('/live')).rejects.toThrow();
    for (const each of open) each.destroy();
  });

  test('on bodies', async () => {
    await using machine = await startHttp();
    const small = await machine.ask('/v1/down', { method: 'POST', body: `"${'x'.repeat(300 * 1024)}"` });
    expect([small.status, small.json.data.code]).toEqual([413, 'CONTROL_REQUEST_INVALID']);
    const job = { type: 'comfyui', input: 'x'.repeat(1024 * 1024) };
    expect((await machine.ask('/v1/jobs', { method: 'POST', body: job })).status).toBe(201);
  });

  test('on how far a reader may be behind, which hurts nobody else', async () => {
    await using machine = await startHttp();
    const stalled = await machine.begin('/v1/events');
    stalled.on('error', () => {}).pause();
    const reader = await machine.begin('/v1/events');
    let read = 0;
    reader.on('data', (chunk: Buffer) => {
      read += chunk.length;
    });
    const data = { name: 'x'.repeat(100_000), critical: true, outcome: 'ok', startedMs: 0, ms: 1, nodes: [] } as const;
    let sent = 0;
    for (; sent < 300 && machine.api.history.listening > 1; sent++) {
      machine.machine.emit({ event: 'phase', data });
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(machine.api.history.listening).toBe(1);
    while (read < sent * 100_000) await once(reader, 'data');
    reader.destroy();
    stalled.destroy();
  });

  test('on patience with whoever reads nothing of what waits for him', async () => {
    const clock = fakeClock();
    const small = new SmallMachine();
    let produced = 0;
    const isOver = Promise.withResolvers<void>();
    small.queue.watch = async function* (_, { signal } = {}) {
      signal?.addEventListener('abort', () => isOver.resolve());
      for (; !signal?.aborted; produced++) {
        await new Promise((resolve) => setImmediate(resolve));
        yield { event: 'preview', mediaType: 'image/png', data: 'x'.repeat(100_000) };
      }
    };
    await using machine = await startHttp({}, { machine: small, clock });
    const stalled = await machine.begin('/v1/jobs/1/events');
    stalled.on('error', () => {}).pause();
    // Until nothing more goes into the connection.
    for (let before = -1, same = 0; same < 200; before = produced) {
      same = produced === before ? same + 1 : 0;
      await new Promise((resolve) => setImmediate(resolve));
    }
    await clock.advance(15_000);
    await clock.advance(15_000);
    await isOver.promise;
    stalled.destroy();
  });
});

describe('the way over HTTP', () => {
  test('does not stop itself', async () => {
    const small = new SmallMachine();
    small.instances = [...small.instances, { ...(small.instances[0] as never as object), id: 'http' } as never];
    await using machine = await startHttp({}, { machine: small });
    const post = (path: string, body?: object) => machine.ask(path, { method: 'POST', body });
    for (const asked of [
      await post('/v1/instances/http/stop'),
      await post('/v1/instances/http/restart'),
      await post('/v1/instances/stop', { select: ['http'] }),
    ])
      expect([asked.status, asked.json.data.code]).toEqual([409, 'CONTROL_OWN_SERVICE']);
    expect((await post('/v1/instances/stop', { select: ['all'] })).status).toBe(200);
    expect(small.moves).toEqual(['stop']);
    const down = await post('/v1/down', { force: true });
    expect([down.status, small.downs]).toEqual([202, [{ force: true }]]);
  });

  test('has no holds, which end with a connection', async () => {
    await using machine = await startHttp();
    const held = await machine.ask('/v1/instances/one/hold', { method: 'POST', body: { why: 'x' } });
    expect(held.status).toBe(404);
  });

  test('tells no stranger how the daemon is made', async () => {
    const small = new SmallMachine();
    small.jobs = () => {
      throw new TypeError('a mistake');
    };
    await using machine = await startHttp({}, { machine: small });
    const { status, text } = await machine.ask('/v1/jobs/1');
    expect(status).toBe(500);
    expect(text).not.toMatch(/\bat |\.ts|\.js/);
  });

  test('notes who changed what, and who was kept from it', async () => {
    const machine = await startHttp();
    await machine.ask('/v1/instances/one/restart', { method: 'POST', body: { force: true } });
    await machine.ask('/v1/instances/one/stop?token=hunter2', { method: 'POST', token: null });
    await machine.ask('/v1/status');
    await machine.service.stop();
    await machine.api[Symbol.asyncDispose]();
    const [file = ''] = readdirSync(machine.context.layout.logs).filter((name) => name.startsWith('audit-'));
    const text = readFileSync(join(machine.context.layout.logs, file), 'utf8');
    expect(
      text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toMatchObject([
      {
        message: 'POST /v1/instances/one/restart',
        face: 'tcp',
        address: '127.0.0.1',
        fingerprint: expect.stringMatching(/^[0-9a-f]{8}$/),
        body: { force: true },
        status: 200,
      },
      { message: expect.stringContaining('POST /v1/instances/one/stop'), status: 401 },
    ]);
    expect(text).not.toContain(machine.token);
    expect(text).not.toContain('hunter2');
    await machine[Symbol.asyncDispose]();
  });

  test('notes no more of strangers than fits, whatever they send', async () => {
    const machine = await startHttp();
    for (let n = 0; n < 50; n++) await machine.ask(`/v1/down?x=${'y'.repeat(1_000)}`, { method: 'POST', token: null });
    await machine.ask('/v1/instances/one/start', { method: 'POST' });
    await machine.service.stop();
    await machine.api[Symbol.asyncDispose]();
    const [file = ''] = readdirSync(machine.context.layout.logs).filter((name) => name.startsWith('audit-'));
    const lines = readFileSync(join(machine.context.layout.logs, file), 'utf8').trim().split('\n');
    const messages = lines.map((line) => JSON.parse(line).message);
    expect(messages.filter((each) => each === 'POST /v1/down').length).toBeLessThanOrEqual(40); // of two minutes
    expect(messages).toContain('POST /v1/instances/one/start');
    expect(messages.at(-1)).toMatch(/^\d+ more requests were refused within a minute$/);
    expect(lines.join('').length).toBeLessThan(10_000);
    await machine[Symbol.asyncDispose]();
  });
});
