import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { dirname, join } from 'node:path';
import { JobsUnavailableError, type MachineControl, type MachineEvent } from '@mgpu/control';
import { type InstanceStatus, type JobStatus, type LogRecord, mockGpus } from '@mgpu/core';
import { temporaryFolder } from '@mgpu/core/testing';
import type { FastifyReply } from 'fastify';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { goneOf } from '../src/routes/gone.ts';
import { healthOf, isReady } from '../src/routes/probes.ts';
import { eventsOf, messagesOf, one, SmallMachine, startHttp } from './support.ts';

const phase = (name: string): MachineEvent => ({
  event: 'phase',
  data: { name, critical: true, outcome: 'ok', startedMs: 0, ms: 1, nodes: [] },
});

const on = (gpu: number, change: Partial<InstanceStatus> = {}): InstanceStatus => ({
  ...one,
  id: `comfyui_gpu${gpu}`,
  kind: 'comfyui',
  gpu,
  ...change,
});

describe('probes', () => {
  const machine = new SmallMachine();
  const status = (instances: readonly InstanceStatus[], change = {}) => ({ ...machine.status(), instances, ...change });

  test.each([
    ['all is well', [one, on(0)], {}, true, true],
    ['what nobody wants is down', [{ ...one, state: 'stopped', desired: 'down' }, on(0)], {}, true, true],
    ['a step has done its work', [{ ...one, state: 'completed' }, on(0)], {}, true, true],
    ['one GPU of two is out', [on(0), on(1, { state: 'failed' })], {}, false, true],
    ['an engine does not answer', [on(0, { health: 'notReady' })], {}, false, false],
    ['something works without something else', [on(0), { ...one, health: 'degraded' }], {}, true, true],
    ['the queue is away', [on(0), { ...one, critical: true, state: 'backoff' }], {}, false, false],
    ['it boots', [on(0, { state: 'starting' })], { state: 'booting' }, true, false],
    ['something fails while it boots', [on(0, { state: 'failed' })], { state: 'booting' }, false, false],
    ['it stops', [on(0)], { state: 'stopping' }, false, false],
    ['there is nothing on GPUs', [one], {}, true, true],
  ] as const)('while %s', (_, instances, change, healthy, ready) => {
    const now = status(instances as readonly InstanceStatus[], change);
    expect([healthOf(now).healthy, isReady(now)]).toEqual([healthy, ready]);
  });

  test('answer with a status code of their own', async () => {
    const small = new SmallMachine();
    small.instances = [on(0, { state: 'failed', reason: { message: 'it fell over' }, attempt: 3 })];
    await using http = await startHttp({}, { machine: small });
    const asked = await Promise.all(['/live?now=1', '/health', '/ready'].map((path) => http.ask(path)));
    expect(asked.map(({ status }) => status)).toEqual([200, 503, 503]);
    expect(asked[1]?.json.services.comfyui_gpu0).toEqual({
      healthy: false,
      status: 'failed',
      restarts: 3,
      error: 'it fell over',
    });
  });
});

describe('events', () => {
  test('go on after the last one that came, and begin with a snapshot where they cannot', async () => {
    await using http = await startHttp();
    const stream = await http.begin('/v1/events');
    const first = messagesOf(stream, 2);
    while (http.api.history.listening === 0) await http.ask('/live');
    http.machine.emit(phase('a'));
    const [snapshot, a] = await first;
    expect([snapshot?.data, a?.data]).toMatchObject([{ event: 'snapshot' }, { data: { name: 'a' } }]);
    http.machine.emit(phase('b'));
    http.machine.emit(phase('c'));
    const goOn = async (id: string | undefined, count: number) =>
      await messagesOf(await http.begin('/v1/events', { headers: { 'last-event-id': id ?? '' } }), count);
    expect((await goOn(a?.id, 2)).map(({ data }) => data)).toMatchObject([
      { data: { name: 'b' } },
      { data: { name: 'c' } },
    ]);
    for (let n = 0; n < 1_001; n++) http.machine.emit(phase(String(n)));
    for (const id of [a?.id, '00000000-1', 'nonsense', `${a?.id}9999`])
      expect(await goOn(id, 1)).toMatchObject([{ data: { event: 'snapshot' } }]);
  });
});

test('events that were missed come also where they are more than a reader may be behind', async () => {
  await using http = await startHttp();
  const [snapshot] = await messagesOf(await http.begin('/v1/events'), 1);
  for (let n = 0; n < 900; n++) http.machine.emit(phase(`${n} ${'x'.repeat(3_000)}`));
  const missed = await http.begin('/v1/events', { headers: { 'last-event-id': snapshot?.id ?? '' } });
  const names = (await messagesOf(missed, 900)).map(({ data }) => (data as { data: { name: string } }).data.name);
  expect(names.map((name) => Number(name.split(' ')[0]))).toEqual(Array.from({ length: 900 }, (_, n) => n));
});

test('who has left before somebody asks whether he is there is gone, too', async () => {
  const asked = Promise.withResolvers<ServerResponse>();
  await using server = createServer((_, response) => asked.resolve(response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n');
  const raw = await asked.promise;
  const closed = once(raw, 'close');
  socket.destroy();
  await closed;
  expect(goneOf({ raw } as FastifyReply).aborted).toBe(true);
});

/** A machine with logs of its own in a folder. */
function withLogs(dir: string) {
  const small = new SmallMachine();
  small.instances = [on(0), on(1), one];
  small.gpus = mockGpus(2);
  const fileOf = (id: string) => join(dir, id, 'logs', 'output.log');
  const print = (id: string, text: string) => {
    mkdirSync(dirname(fileOf(id)), { recursive: true });
    appendFileSync(fileOf(id), text);
  };
  const printed = new Set<string>();
  small.logs = () => ({
    instances: [...printed].map((id) => ({
      ...(small.instances.find((each) => each.id === id) ?? { id, kind: id }),
      file: fileOf(id),
    })),
    daemon: join(dir, 'logs'),
  });
  return {
    small,
    print: (id: string, text: string) => {
      print(id, text);
      printed.add(id);
    },
  };
}

describe('logs', () => {
  const textsOf = (lines: readonly LogRecord[]) => lines.map(({ instance, text }) => `${instance}: ${text}`);

  test('are read with the filters of the command line', async () => {
    using dir = temporaryFolder('logs-');
    const { small, print } = withLogs(dir.path);
    print('comfyui_gpu0', 'hello\nERROR: it broke\n');
    print('comfyui_gpu1', 'hello too\n');
    await using http = await startHttp({}, { machine: small });
    const lines = async (query: string) => textsOf((await http.ask(`/v1/logs?${query}`)).json.data.lines);
    expect((await lines('')).toSorted()).toEqual([
      'comfyui_gpu0: ERROR: it broke',
      'comfyui_gpu0: hello',
      'comfyui_gpu1: hello too',
    ]);
    expect(await lines('select=gpu:1')).toEqual(['comfyui_gpu1: hello too']);
    expect(await lines('select=comfyui_gpu0&select=gpu:1&level=error')).toEqual(['comfyui_gpu0: ERROR: it broke']);
    expect(await lines('grep=HELLO&ignoreCase=true&lines=1&select=comfyui_gpu0')).toEqual(['comfyui_gpu0: hello']);
    expect(await lines('since=2030-01-01')).toEqual([]);
    expect(await lines('select=one')).toEqual([]); // there, and silent
    for (const [query, status] of [
      ['select=nobody', 404],
      ['select=gpu:7', 404],
      ['grep=(', 400],
      ['lines=0', 400],
      ['lines=many', 400],
      ['since=yesterday', 400],
      ['unknown=1', 400],
    ] as const)
      expect((await http.ask(`/v1/logs?${query}`)).status, query).toBe(status);
  });

  test('take no longer for an expression that would never end', async () => {
    using dir = temporaryFolder('logs-');
    const { small, print } = withLogs(dir.path);
    print('comfyui_gpu0', `${'a'.repeat(50_000)}!\n`);
    await using http = await startHttp({}, { machine: small });
    const { status, json } = await http.ask(`/v1/logs?grep=${encodeURIComponent('^(a+)+$')}`);
    expect([status, json.data.lines]).toEqual([200, []]);
  });

  test('are not searched with an expression that takes minutes for a line', async () => {
    await using http = await startHttp();
    const { status, json } = await http.ask(`/v1/logs?grep=${encodeURIComponent('(\\pL{900}|\\pL{901})[xy]')}`);
    expect([status, json.data.message]).toEqual([400, expect.stringMatching(/grep: it takes 1\d{3} steps/)]);
  });

  test('are cut at a size, not at a number of lines alone', async () => {
    using dir = temporaryFolder('logs-');
    const { small, print } = withLogs(dir.path);
    for (let n = 0; n < 200; n++) print('comfyui_gpu0', `${String(n).padStart(4, '0')}${'x'.repeat(60_000)}\n`);
    await using http = await startHttp({}, { machine: small });
    const { text, json } = await http.ask('/v1/logs?lines=5000');
    const { lines } = json.data;
    expect(lines.length).toBeGreaterThan(100);
    expect(text.length).toBeLessThan(9 * 1024 * 1024);
    expect(lines.at(-1).text).toMatch(/^0199/); // the last ones
  });

  test('have a line whole that was under way when somebody came', async () => {
    using dir = temporaryFolder('logs-');
    const { small, print } = withLogs(dir.path);
    print('comfyui_gpu0', 'first\nhalf of ');
    await using http = await startHttp({}, { machine: small });
    const follow = await http.begin('/v1/logs/events?select=comfyui_gpu0&lines=1');
    const seen: LogRecord[] = [];
    for await (const { data } of eventsOf(follow)) {
      seen.push(...(data as { data: LogRecord[] }).data);
      if (seen.length === 1) print('comfyui_gpu0', 'a line\n');
      if (seen.some(({ text, partial }) => text.includes('a line') && !partial)) break;
    }
    expect(seen.filter(({ partial }) => !partial).map(({ text, offset }) => [text, offset])).toEqual([
      ['first', 0],
      ['half of a line', 6],
    ]);
    const { cursor } = (await http.ask('/v1/logs?select=comfyui_gpu0')).json.data;
    expect(JSON.parse(Buffer.from(cursor, 'base64url').toString())).toEqual({ comfyui_gpu0: 21 });
  });

  test('come to many who begin at once beside a program that prints: each gets every line, once', async () => {
    using dir = temporaryFolder('logs-');
    const { small, print } = withLogs(dir.path);
    let printed = 0;
    print('comfyui_gpu0', `tick ${printed++}\n`);
    await using http = await startHttp({}, { machine: small });
    const most = 400;
    const follow = async () => {
      const response = await http.begin('/v1/logs/events?select=comfyui_gpu0&lines=1');
      const numbers: number[] = [];
      for await (const { data } of eventsOf(response)) {
        const { data: lines } = data as { data: LogRecord[] };
        numbers.push(...lines.filter(({ partial }) => !partial).map(({ text }) => Number(text.slice(5))));
        if ((numbers.at(-1) ?? 0) >= most) return numbers;
      }
      throw new Error('it ended');
    };
    const followers = Array.from({ length: 40 }, follow);
    let isOver = false;
    const all = Promise.all(followers).finally(() => (isOver = true));
    while (!isOver) {
      if (printed <= most) print('comfyui_gpu0', `tick ${printed++}\n`);
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (const numbers of await all)
      expect(numbers).toEqual(Array.from(numbers, (_, index) => (numbers[0] ?? 0) + index));
  });

  test('are followed, and go on where they were left, also for what was silent', async () => {
    using dir = temporaryFolder('logs-');
    const { small, print } = withLogs(dir.path);
    print('comfyui_gpu0', 'first\nsecond\n');
    print('comfyui_gpu1', 'long ago\n');
    await using http = await startHttp({}, { machine: small });
    /** The next so many lines, and where to go on. */
    const follow = async (count: number, after?: string) => {
      const headers = after === undefined ? {} : { 'last-event-id': after };
      const response = await http.begin('/v1/logs/events?select=comfyui&lines=1', { headers });
      const texts: string[] = [];
      for await (const { id, data } of eventsOf(response)) {
        texts.push(...textsOf((data as { data: LogRecord[] }).data));
        if (texts.length >= count) return { id, texts: texts.toSorted() };
      }
      throw new Error('it ended');
    };
    const begun = await follow(1);
    expect(['comfyui_gpu0: second', 'comfyui_gpu1: long ago']).toContain(begun.texts[0]);
    print('comfyui_gpu0', 'third\n');
    print('comfyui_gpu1', 'fourth\n');
    expect((await follow(2, begun.id)).texts).toEqual(['comfyui_gpu0: third', 'comfyui_gpu1: fourth']);
    // The answer of the one goes on as a stream of the other.
    const { cursor } = (await http.ask('/v1/logs?select=comfyui')).json.data;
    const next = follow(1, cursor);
    print('comfyui_gpu1', 'fifth\n');
    expect((await next).texts).toEqual(['comfyui_gpu1: fifth']);
  });
});

describe('a job', () => {
  test('is submitted, waited for, or streamed', async () => {
    await using http = await startHttp();
    const post = (path: string, headers = {}) =>
      http.ask(path, { method: 'POST', body: { type: 'comfyui', input: {} }, headers });
    const submitted = await post('/v1/jobs');
    expect([submitted.status, submitted.headers.location, submitted.json.data]).toEqual([
      201,
      '/v1/jobs/1',
      { id: '1' },
    ]);
    const waited = await post('/v1/jobs?wait=5');
    expect([waited.status, waited.json]).toMatchObject([200, { kind: 'Job', data: { state: 'cancelled' } }]);
    const streamed = await post('/v1/jobs', { accept: 'text/event-stream' });
    expect([...streamed.text.matchAll(/^event: (.*)$/gm)].map(([, name]) => name)).toEqual([
      'submitted',
      'progress',
      'ended',
    ]);
    http.machine.queue.watch = async function* (_, { signal } = {}) {
      yield { event: 'progress', progress: { percent: 1 } };
      await new Promise((resolve) => signal?.addEventListener('abort', resolve));
    };
    expect((await post('/v1/jobs?wait=1')).status).toBe(202);
    http.machine.jobs = () => {
      throw new JobsUnavailableError({ reason: 'there is no Redis' });
    };
    const refused = await post('/v1/jobs');
    expect([refused.status, refused.headers['retry-after']]).toEqual([503, undefined]);
  });

  const content = Buffer.from('0123456789');
  const sha256 = createHash('sha256').update(content).digest('hex');
  const artifact = (name: string, path: string) => ({ name, path, mediaType: 'image/png', bytes: 10, sha256 });

  async function withArtifacts(dir: string) {
    const small = new SmallMachine();
    const artifacts = join(dir, 'artifacts');
    mkdirSync(join(artifacts, 'job', 'deep'), { recursive: true });
    const inside = join(artifacts, 'job', 'deep', 'a b?#%.png');
    writeFileSync(inside, content);
    writeFileSync(join(dir, 'secret'), 'secret');
    symlinkSync(join(dir, 'secret'), join(artifacts, 'job', 'link'));
    small.artifactsDir = artifacts;
    const job: JobStatus = {
      id: '1',
      type: 'comfyui',
      state: 'completed',
      createdAt: new Date(0).toISOString(),
      result: {
        v: 1,
        machine: 'other',
        engine: 'comfyui_gpu0',
        attempt: 1,
        timings: { queuedMs: 0, runMs: 0, totalMs: 0 },
        artifacts: [
          artifact('deep/a b?#%.png', inside),
          { ...artifact('odd', inside), mediaType: 'text/html\r\nx-evil: 1' },
          artifact('link', join(artifacts, 'job', 'link')),
          artifact('../secret', join(artifacts, 'job', '..', '..', 'secret')),
          artifact('passwd', '/etc/passwd'),
          artifact('folder', join(artifacts, 'job')),
          artifact('elsewhere', '/nowhere/x'),
        ],
      },
    };
    small.queue.get = async () => job;
    return small;
  }

  test('hands out its files, and ranges of them', async () => {
    using dir = temporaryFolder('artifacts-');
    await using http = await startHttp({}, { machine: await withArtifacts(dir.path) });
    const get = (name: string, headers = {}) => http.ask(`/v1/jobs/1/artifacts/${name}`, { headers });
    const name = 'deep/a%20b%3F%23%25.png';
    const whole = await get(name);
    expect([whole.status, whole.text, whole.headers]).toMatchObject([
      200,
      '0123456789',
      {
        'content-type': 'image/png',
        'content-length': '10',
        'content-disposition': 'attachment',
        'accept-ranges': 'bytes',
        'repr-digest': `sha-256=:${createHash('sha256').update(content).digest('base64')}:`,
        'cache-control': 'no-store',
      },
    ]);
    const part = await get(name, { range: 'bytes=2-4' });
    expect([part.status, part.text, part.headers['content-range']]).toEqual([206, '234', 'bytes 2-4/10']);
    const outside = await get(name, { range: 'bytes=20-' });
    expect([outside.status, outside.json.data.code, outside.headers['content-range']]).toEqual([
      416,
      'CONTROL_RANGE',
      'bytes */10',
    ]);
    const again = await get(name, { 'if-none-match': whole.headers.etag });
    expect(again.status).toBe(304);
    expect((await get('odd')).headers).toMatchObject({ 'content-type': 'application/octet-stream' });
  });

  test.each([
    'link',
    '../secret',
    '..%2fsecret',
    '%2e%2e%2fsecret',
    'passwd',
    '%2fetc%2fpasswd',
    'folder',
    'elsewhere',
    'unknown',
    '%00',
  ])('hands out nothing that is not among the artifacts: %s', async (name) => {
    using dir = temporaryFolder('artifacts-');
    await using http = await startHttp({}, { machine: await withArtifacts(dir.path) });
    const { status, json } = await http.ask(`/v1/jobs/1/artifacts/${name}`);
    expect(status).toBe(404);
    expect(json.kind).toBe('Error');
  });
});

describe('an operation', () => {
  /** Ends when it is told to, or cancelled. */
  function withOperations() {
    const small = new SmallMachine();
    const end = Promise.withResolvers<void>();
    const operation = {
      summary: 'For a test',
      changes: true,
      input: z.strictObject({ name: z.string().max(5), secret: z.string().optional() }),
    };
    const operations: MachineControl['operations'] = [
      {
        ...operation,
        name: 'test.slow',
        run: async (input, { signal, onProgress }) => {
          onProgress({ text: `${input.name} begins`, percent: 10 });
          await Promise.race([
            end.promise,
            new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
          ]);
          return { apiVersion: 'mgpu/v1', kind: 'Test', data: { name: input.name } };
        },
      },
      {
        ...operation,
        name: 'test.broken',
        run: async () => {
          throw new Error('it broke');
        },
      },
    ];
    small.operations = operations;
    return { small, end: () => end.resolve() };
  }

  test('runs as a task, which is watched, waited for and listed', async () => {
    const { small, end } = withOperations();
    await using http = await startHttp({}, { machine: small });
    const start = (name: string, body: unknown, query = '') =>
      http.ask(`/v1/operations/${name}${query}`, { method: 'POST', body });
    expect((await http.ask('/v1/operations')).json.data[0]).toMatchObject({
      name: 'test.slow',
      changes: true,
      input: { type: 'object', required: ['name'] },
    });
    const begun = await start('test.slow', { name: 'x', secret: 'y' });
    const { id } = begun.json.data;
    expect([begun.status, begun.headers.location]).toEqual([202, `/v1/tasks/${id}`]);
    expect(begun.json.data).toMatchObject({
      operation: 'test.slow',
      state: 'running',
      input: { secret: '[redacted]' },
    });
    const watched = messagesOf(await http.begin(`/v1/tasks/${id}/events`), 2);
    end();
    expect((await watched).map(({ data }) => data)).toMatchObject([
      { event: 'progress', progress: { text: 'x begins', percent: 10 } },
      { event: 'ended', status: { state: 'completed', result: { kind: 'Test', data: { name: 'x' } } } },
    ]);
    const broken = await start('test.broken', { name: 'x' }, '?wait=5');
    expect([broken.status, broken.json.data]).toMatchObject([200, { state: 'failed', error: { message: 'it broke' } }]);
    const { data } = (await http.ask('/v1/tasks')).json;
    for (const each of data) expect(each).not.toHaveProperty('result'); // each may be large
    expect(data.map((each: { operation: string }) => each.operation)).toEqual(['test.broken', 'test.slow']);
  });

  test('can be cancelled, and is asked for properly', async () => {
    const { small } = withOperations();
    await using http = await startHttp({}, { machine: small });
    const start = (name: string, body?: unknown) => http.ask(`/v1/operations/${name}`, { method: 'POST', body });
    const begun = await Promise.all(Array.from({ length: 8 }, () => start('test.slow', { name: 'x' })));
    const busy = await start('test.slow', { name: 'x' });
    expect([busy.status, busy.json.data.code]).toEqual([429, 'CONTROL_TOO_MANY_TASKS']);
    const id = begun[0]?.json.data.id;
    const cancelled = await http.ask(`/v1/tasks/${id}`, { method: 'DELETE' });
    expect(cancelled.json.data).toMatchObject({ id, state: 'cancelled', endedAt: expect.any(String) });
    expect([(await start('test.none', {})).status, (await http.ask('/v1/tasks/none')).status]).toEqual([404, 404]);
    for (const body of [undefined, { name: 'too long' }, { name: 'x', more: 1 }, [], 'x'])
      expect((await start('test.slow', body)).status).toBe(400);
  });
});

describe("the predecessor's addresses", () => {
  test('answer in its shapes', async () => {
    using dir = temporaryFolder('former-');
    const { small, print } = withLogs(dir.path);
    small.instances = [on(0, { port: 8188, startedAt: new Date(0).toISOString(), pid: 7 }), on(1, { state: 'failed' })];
    print('comfyui_gpu0', 'first\nsecond\n');
    small.config = () => ({ file: null, config: { services: { ollama: { enabled: false } } } });
    await using http = await startHttp({}, { machine: small });
    const get = async (path: string) => (await http.ask(path)).json;
    expect(await get('/status')).toMatchObject({
      version: '0.0.0',
      machine_id: 'small',
      uptime: expect.any(Number),
      services: {
        comfyui_gpu0: {
          name: 'comfyui_gpu0',
          type: 'comfyui',
          status: 'running',
          health: 'healthy',
          enabled: true,
          installed: true,
          gpu: 0,
          port: 8188,
          pid: 7,
          restarts: 0,
        },
        comfyui_gpu1: { status: 'failed', health: 'unhealthy' },
        ollama: { status: 'not_configured', enabled: false },
      },
    });
    expect(await get('/version')).toEqual({ version: '0.0.0' });
    expect(await get('/services')).toMatchObject({ count: 2, services: [{ name: 'comfyui_gpu0', port: 8188 }, {}] });
    const well = await http.ask('/services/comfyui_gpu0/health');
    const ill = await http.ask('/services/comfyui_gpu1/health');
    expect([well.status, ill.status, (await http.ask('/services/nobody/health')).status]).toEqual([200, 503, 404]);
    expect((await get('/services/comfyui_gpu0/logs?limit=1')).logs).toMatchObject([{ text: 'second' }]);
    expect((await get('/logs?limit=2')).logs).toMatchObject([{ text: 'second' }, { text: 'first' }]);
    const live = await http.begin('/comfyui/logs?gpu=0&lines=1');
    expect(live.headers['content-type']).toBe('text/plain; charset=utf-8');
    let text = '';
    for await (const chunk of live) {
      text += chunk;
      if (text === 'second\n') print('comfyui_gpu0', 'third\n');
      if (text.endsWith('third\n')) break;
    }
    expect(text).toBe('second\nthird\n');
    expect(await get('/refresh-status')).toMatchObject({ machine_id: 'small', message: expect.any(String) });
  });

  test('restart one service, or everything', async () => {
    await using http = await startHttp();
    const one = await http.ask('/restart/service?service=one', { method: 'POST' });
    const all = await http.ask('/restart/machine', { method: 'POST' });
    expect([one.status, one.json, all.status]).toEqual([200, { message: 'restarted one' }, 202]);
    expect(http.machine.moves).toEqual(['restart', 'restart']);
    expect((await http.ask('/restart/service?service=nobody', { method: 'POST' })).status).toBe(404);
    http.machine.instances = [{ ...on(0), id: 'http', kind: 'http' }];
    const own = await http.ask('/restart/service?service=http', { method: 'POST' });
    expect([own.status, own.json.data.code]).toEqual([409, 'CONTROL_OWN_SERVICE']);
  });
});
