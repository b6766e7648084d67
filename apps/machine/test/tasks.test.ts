import { type StdioOptions, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, statSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { setInterval } from 'node:timers/promises';
import { type Envelope, type TaskEvent, type TaskStatus, tokenPath } from '@mgpu/control';
import { commandLineOf, type ErrorReport, findProgram, type InstanceStatus, layoutOf, listProcesses } from '@mgpu/core';
import { commitFiles, leasePorts } from '@mgpu/core/testing';
import type { PullReport } from '@mgpu/models';
import { lockPulls } from '@mgpu/ollama';
import { expect, onTestFinished, test } from 'vitest';
import { openFreshBox } from './fresh-box.ts';
import { type Box, isAlive, openBox, statusOf } from './support.ts';

/** The machine's API over TCP, for whoever has its token. */
function apiOf(box: Box) {
  const ask = async (method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown, token = tokenOf(box)) => {
    const json = body === undefined ? {} : { 'content-type': 'application/json' };
    return await fetch(`http://127.0.0.1:${box.port + 21}/v1/${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...json },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  };
  async function* events(id: string): AsyncGenerator<TaskEvent> {
    const { body } = await ask('GET', `tasks/${id}/events`);
    let rest = '';
    for await (const chunk of (body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream())) {
      const messages = (rest + chunk).split('\n\n');
      rest = messages.pop() ?? '';
      for (const message of messages) {
        const line = message.split('\n').find((each) => each.startsWith('data: '));
        if (line !== undefined) yield JSON.parse(line.slice(6)) as TaskEvent;
      }
    }
  }
  const data = async <D>(answer: Promise<Response>) => ((await (await answer).json()) as Envelope<string, D>).data;
  return {
    ask,
    data,
    /** Its end, or where it is after so many seconds. */
    task: (operation: string, input: object = {}, wait = 120) =>
      data<TaskStatus>(ask('POST', `operations/${operation}?wait=${wait}`, input)),
    start: (operation: string, input: object = {}) => data<TaskStatus>(ask('POST', `operations/${operation}`, input)),
    cancel: (id: string) => data<TaskStatus>(ask('DELETE', `tasks/${id}`)),
    events,
    async ended(id: string): Promise<TaskStatus | undefined> {
      const last = (await allOf(events(id))).at(-1);
      return last?.event === 'ended' ? last.status : undefined;
    },
  };
}

async function allOf<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const all: T[] = [];
  for await (const each of items) all.push(each);
  return all;
}

const tokenOf = (box: Box) => readFileSync(tokenPath(layoutOf(box.root)), 'utf8').trim();

/** Commands that run for the machine. */
const commandsOf = (box: Box) =>
  listProcesses().filter(({ pid }) => commandLineOf(pid)?.includes(`mgpu.js --json --root=${box.root}`));

const content = randomBytes(1_500_000);
const sha256 = createHash('sha256').update(content).digest('hex');

/** Gives what is called `slow` piece by piece, and has not what is called `gone`. */
async function startHub() {
  const lease = await leasePorts(1);
  const ranges: string[] = [];
  const server = createServer(({ url = '', headers: { range } }, response) => {
    if (url.includes('gone')) return response.writeHead(404).end();
    const [, from = '0'] = /^bytes=(\d+)-$/.exec(range ?? '') ?? [];
    const rest = content.subarray(Number(from));
    const head = { 'content-length': rest.length, etag: '"one"' };
    if (range === undefined) response.writeHead(200, head);
    else {
      ranges.push(range);
      response.writeHead(206, {
        ...head,
        'content-range': `bytes ${from}-${content.length - 1}/${content.length}`,
      });
    }
    if (url.includes('slow')) return void trickle(rest, response);
    return response.end(rest);
  });
  await new Promise<void>((resolve) => server.listen(lease.first, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    lease[Symbol.dispose]();
  });
  return { ranges, env: { HF_ENDPOINT: `http://127.0.0.1:${lease.first}`, HF_TOKEN: 'hf_secret' } };
}

async function trickle(bytes: Buffer, response: ServerResponse): Promise<void> {
  let at = 0;
  for await (const _ of setInterval(25)) {
    response.write(bytes.subarray(at, at + 30_000));
    at += 30_000;
    if (at >= bytes.length || response.destroyed) break;
  }
  response.end();
}

test('models are brought by tasks: watched, cancelled, gone on with, killed', { timeout: 60_000 }, async () => {
  const hub = await startHub();
  await using box = await openBox(() => ({ models: { reserveGiB: 0 } }));
  expect((await box.mgpu(['up', '--mock', '1', '--detach'], hub.env)).code).toBe(0);
  const api = apiOf(box);
  const slow = { models: ['hf://some/model/slow.safetensors'], to: 'loras/', sha256 };
  const part = join(box.root, 'shared/models/loras/.slow.safetensors.mgpu-part');

  const begun = await api.ask('POST', 'operations/models.pull', slow);
  expect(begun.status).toBe(202);
  const { data: first } = (await begun.json()) as Envelope<string, TaskStatus>;
  expect(first).toMatchObject({ operation: 'models.pull', state: 'running', input: slow });
  expect(begun.headers.get('location')).toBe(`/v1/tasks/${first.id}`);
  for await (const event of api.events(first.id))
    if (event.event === 'progress' && (event.progress.percent ?? 0) > 0) break;
  expect(commandsOf(box)).toHaveLength(1);
  const cancelled = await api.cancel(first.id);
  expect(cancelled).toMatchObject({
    state: 'cancelled',
    progress: { text: expect.stringMatching(/^loras\/slow\.safetensors, /) },
  });
  expect(cancelled.error).toBeUndefined();
  expect(commandsOf(box)).toEqual([]);
  const held = statSync(part).size;
  expect(held).toBeGreaterThan(0);

  const second = await api.start('models.pull', slow);
  const events = await allOf(api.events(second.id));
  expect(hub.ranges).toEqual([`bytes=${held}-`]);
  const percents = events.flatMap((each) => (each.event === 'progress' ? [each.progress.percent ?? 0] : []));
  expect(percents.length).toBeGreaterThan(1);
  expect(percents).toEqual(percents.toSorted((a, b) => a - b));
  expect(events.at(-1)).toMatchObject({
    event: 'ended',
    status: {
      state: 'completed',
      result: {
        apiVersion: 'mgpu/v1',
        kind: 'ModelsReport',
        data: { outcome: 'done', models: [{ path: 'models/loras/slow.safetensors', sha256 }] },
      },
    },
  });

  // What can be done in part only is done, and says so.
  const both = await api.task('models.pull', {
    models: ['hf://some/model/one.safetensors', 'hf://some/model/gone.safetensors'],
  });
  expect(both).toMatchObject({ state: 'completed', result: { data: { outcome: 'partly failed' } } });
  const report = both.result?.data as PullReport | undefined;
  expect(report?.models.map(({ status }) => status).toSorted()).toEqual(['failed', 'pulled']);
  expect(await api.task('models.verify')).toMatchObject({ state: 'completed', result: { kind: 'ModelsVerified' } });
  expect(JSON.stringify(await api.data(api.ask('GET', 'tasks')))).not.toContain('hf_secret');

  const third = await api.start('models.pull', { ...slow, force: true });
  for await (const event of api.events(third.id)) if (event.event === 'progress') break;
  for (const { pid } of commandsOf(box)) process.kill(pid, 'SIGKILL');
  expect(await api.ended(third.id)).toMatchObject({
    state: 'failed',
    error: { code: 'MACHINE_COMMAND_DIED', message: expect.stringMatching(/models pull .*: it was ended by SIGKILL/) },
  });

  // A task ends with the machine, be its command as stubborn as it likes.
  await api.start('models.pull', { ...slow, force: true });
  await expect.poll(() => commandsOf(box).length).toBe(1);
  for (const { pid } of commandsOf(box)) process.kill(pid, 'SIGSTOP');
  expect((await box.mgpu(['down', '--force'])).code).toBe(0);
  expect(commandsOf(box)).toEqual([]);
});

test('what is asked for is checked, and stays what it is: no value becomes an option', async () => {
  await using box = await openBox();
  await box.mgpu(['up', '--mock', '1', '--detach']);
  const api = apiOf(box);
  const unknown = await api.ask('POST', 'operations/models.burn');
  expect(unknown.status).toBe(404);
  expect(await unknown.json()).toMatchObject({ kind: 'Error', data: { code: 'CONTROL_OPERATION_UNKNOWN' } });
  for (const [operation, input] of [
    ['models.pull', { models: ['x'], nonsense: 1 }],
    ['models.pull', { models: ['a\nb'] }],
    ['models.pull', { models: ['a\u0000b'] }],
    ['models.pull', { models: [''] }],
    ['models.pull', { sha256: 'x' }],
    ['models.evict', { free: '50G; rm' }],
    ['models.ls', { json: true }],
    ['nodes.apply', { locked: 'relative.json' }],
    ['nodes.remove', {}],
    ['comfyui.setup', { extra: ['--update'] }],
  ] as const) {
    const refused = await api.ask('POST', `operations/${operation}`, input);
    expect(refused.status, JSON.stringify(input)).toBe(400);
    expect(await refused.json()).toMatchObject({ kind: 'Error', data: { code: 'CONTROL_REQUEST_INVALID' } });
  }
  for (const value of ['--root=/elsewhere', '--force', '-h', '--']) {
    const failed = await api.task('models.pull', { models: [value] });
    expect(failed).toMatchObject({
      state: 'failed',
      error: { code: 'MODELS_UNKNOWN', message: expect.stringContaining(`"${value}"`) },
    });
  }
  expect((await api.task('models.sync', { specificDirs: '--check-only', checkOnly: true })).state).toBe('completed');
  expect(await api.task('nodes.plan')).toMatchObject({ state: 'failed', error: { code: 'COMFYUI_NO_GENERATION' } });
  // It sees the simulated GPU that only the command line of the daemon asked for.
  const { result } = await api.task('doctor');
  expect(result?.kind).toBe('Doctor');
  expect(JSON.stringify(result?.data)).toMatch(/simulated/i);
});

test('an operation takes what the command of its name takes', async () => {
  await using box = await openBox();
  await box.mgpu(['up', '--mock', '1', '--detach']);
  const api = apiOf(box);
  const operations = await api.data<{ name: string; input: { properties: object } }[]>(api.ask('GET', 'operations'));
  const { text } = (await box.mgpu(['reference', '--json'])).json<{ text: string }>().data;
  const sections = text.split(/^### `mgpu /m);
  /** What only who sits at the machine says. */
  const habits = ['[gpu...]', '--mock'];
  for (const { name, input } of operations) {
    const words = name === 'comfyui.generations' ? 'comfyui generations ls' : name.replaceAll('.', ' ');
    const section = sections.find((each) => each.startsWith(`${words}\``) || each.startsWith(`${words} `)) ?? '';
    const [heading = ''] = section.split('`', 1);
    const flags = [...section.matchAll(/^- `(?:-\w, )?(--[\w-]+)/gm)].map(([, flag = '']) => flag);
    const operands = heading.slice(words.length).split(' ').filter(Boolean);
    const keys = Object.keys(input.properties);
    const expected = [...flags, ...operands].filter((each) => !habits.includes(each));
    expect(section, name).not.toBe('');
    expect(keys, name).toHaveLength(expected.length);
    const camel = flags
      .filter((each) => !habits.includes(each))
      .map((each) => each.replace(/^--(no-)?/, '').replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase()));
    expect(keys, name).toEqual(expect.arrayContaining(camel));
  }
});

test('eight run at a time; the token is renewed under the running machine', async () => {
  await using box = await openBox((port) => ({
    comfyui: { enabled: false },
    ollama: { enabled: true, listen: { port: port + 25 } },
  }));
  await box.mgpu(['up', '--mock', '1', '--detach']);
  const api = apiOf(box);
  using _ = await lockPulls(join(layoutOf(box.root).shared, 'ollama'));
  const tasks = await Promise.all(
    Array.from({ length: 8 }, (__, number) => api.start('ollama.pull', { model: `model-${number}` })),
  );
  const ninth = await api.ask('POST', 'operations/ollama.ls');
  expect(ninth.status).toBe(429);
  expect(await ninth.json()).toMatchObject({ data: { code: 'CONTROL_TOO_MANY_TASKS', retryable: true } });
  for (const { id } of tasks) {
    for await (const { progress } of progressOf(api.events(id)))
      if (progress.text.startsWith('another pull into')) break;
  }

  const old = tokenOf(box);
  expect((await box.mgpu(['token'])).stdout).toBe(`${old}\n`);
  const rotated = await box.mgpu(['token', '--rotate', '--json']);
  const { data } = rotated.json<{ token: string; path: string }>();
  expect(data).toEqual({ token: tokenOf(box), path: tokenPath(layoutOf(box.root)) });
  expect(data.token).not.toBe(old);
  expect((await api.ask('GET', 'tasks', undefined, old)).status).toBe(401);
  expect((await api.ask('GET', 'tasks', undefined, data.token)).status).toBe(200);

  const ends = await Promise.all(tasks.map(({ id }) => api.cancel(id)));
  expect(new Set(ends.map(({ state }) => state))).toEqual(new Set(['cancelled']));
  expect(commandsOf(box)).toEqual([]);
  expect(await api.task('ollama.ls')).toMatchObject({ state: 'completed', result: { kind: 'Models' } });

  const configured = { MGPU_HTTP_TOKEN: 'x'.repeat(40) };
  const own = await box.mgpu(['token'], configured);
  expect(own).toMatchObject({ code: 0, stdout: `${'x'.repeat(40)}\n` });
  expect(own.stderr).toContain('services.http.token');
  const refused = await box.mgpu(['token', '--rotate', '--json'], configured);
  expect(refused).toMatchObject({ code: 1 });
  expect(refused.json<ErrorReport>().data.code).toBe('MACHINE_TOKEN_CONFIGURED');
  expect(tokenOf(box)).toBe(data.token);

  // Nor does a command outlive a daemon that is killed.
  if ((await findProgram(['setpriv'], process.env)) === undefined) return;
  await api.start('ollama.pull', { model: 'model-0' });
  await expect.poll(() => commandsOf(box).length).toBe(1);
  const { daemon } = await statusOf(box);
  process.kill(daemon.pid, 'SIGKILL');
  await expect.poll(() => commandsOf(box)).toEqual([]);
});

async function* progressOf(events: AsyncIterable<TaskEvent>) {
  for await (const each of events) if (each.event === 'progress') yield each;
}

test('nodes are changed by tasks; one that moves instances moves them back when the machine ends', {
  timeout: 240_000,
}, async () => {
  await using box = await openFreshBox();
  await box.release('0.26.0');
  expect((await box.mgpu(['comfyui', 'setup'])).code).toBe(0);
  expect((await box.mgpu(['up', '--detach'])).code).toBe(0);
  const api = apiOf(box);
  const pack = (name: string, script: object) =>
    commitFiles(join(box.dir, name), { 'simulator.json': JSON.stringify(script), '__init__.py': '' });
  await pack('echo', { nodes: ['EchoPicture'] });

  const adding = await api.start('nodes.add', { url: join(box.dir, 'echo') });
  const told: string[] = [];
  for await (const { progress } of progressOf(api.events(adding.id))) told.push(progress.text);
  expect(told).toEqual(expect.arrayContaining([expect.stringMatching(/^verification: /), 'comfyui_gpu0: moves to it']));
  expect(await api.data<TaskStatus>(api.ask('GET', `tasks/${adding.id}`))).toMatchObject({
    state: 'completed',
    result: { kind: 'NodesReport', data: { nodes: [{ name: 'echo', status: 'done' }] } },
  });
  const { result: list } = await api.task('nodes.ls');
  expect(list?.data).toMatchObject([{ name: 'echo' }]);

  await pack('echo', { nodes: ['EchoPicture', 'EchoTwice'] });
  const offered = async () => {
    const engines = (await instancesOf(api)).map(async ({ endpoint = '' }) => {
      const nodes = (await (await fetch(new URL('object_info', endpoint))).json()) as object;
      return ['EchoPicture', 'EchoTwice'].filter((name) => name in nodes);
    });
    return await Promise.all(engines);
  };
  const stops: Record<string, (daemon: number) => unknown> = {
    'it is left running': (daemon) => process.kill(daemon, 'SIGUSR2'),
    'it is stopped': () => box.mgpu(['down']),
  };
  for (const [how, stop] of Object.entries(stops)) {
    const { daemon } = await statusOf(box);
    const moving = await api.start('nodes.update', { names: ['echo'] });
    const ends: TaskStatus[] = [];
    for await (const each of api.events(moving.id)) {
      if (each.event === 'ended') ends.push(each.status);
      else if (each.progress.text === 'comfyui_gpu0: moves to it') void stop(daemon.pid);
    }
    // The instance is moved back before the machine lets go of it.
    expect(ends, how).toMatchObject([{ state: 'cancelled' }]);
    expect(ends[0]?.error, how).toBeUndefined();
    await expect.poll(() => isAlive(daemon.pid), { timeout: 30_000 }).toBe(false);
    expect(commandsOf(box), how).toEqual([]);
    expect((await box.mgpu(['up', '--detach'])).code, how).toBe(0);
    expect((await instancesOf(api)).map(({ outdated }) => outdated)).toEqual([undefined, undefined]);
    expect(await offered(), how).toEqual([['EchoPicture'], ['EchoPicture']]);
  }
});

const instancesOf = (api: ReturnType<typeof apiOf>) =>
  api.data<readonly InstanceStatus[]>(api.ask('GET', 'instances?select=comfyui'));

test('a command tells over a channel to whoever asks for it alone', async () => {
  await using box = await openBox();
  const env = { PATH: process.env.PATH ?? '', HOME: box.dir, MGPU_HTTP_TOKEN: 'x'.repeat(40) };
  const cli = join(import.meta.dirname, '../bin/mgpu.js');
  const told = async (more: Readonly<Record<string, string>>) => {
    const stdio: StdioOptions = ['ignore', 'ignore', 'ignore', 'ipc'];
    const child = spawn(process.execPath, [cli, '--json', 'token'], { cwd: box.dir, env: { ...env, ...more }, stdio });
    const messages: unknown[] = [];
    child.on('message', (message) => messages.push(message));
    await once(child, 'close');
    return messages;
  };
  expect(await told({})).toEqual([]);
  expect(await told({ MGPU_TELLS_NEWS: 'yes' })).toEqual([
    { event: 'notice', text: expect.stringContaining('services.http.token') },
  ]);
});
