import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import {
  type ConfigReport,
  ControlApi,
  ControlClient,
  ControlService,
  type HttpOptions,
  HttpService,
  type MachineControl,
  type MachineEvent,
  type MachineLogs,
  type MachineStatus,
  type Operation,
  tokenPath,
} from '@mgpu/control';
import {
  type Clock,
  coreErrors,
  type InstanceStatus,
  type InstanceVerb,
  type JobEvent,
  type JobListOptions,
  type JobQueue,
  type JobStatus,
  JobUnknownError,
  jobStates,
} from '@mgpu/core';
import { leasePorts, testContext } from '@mgpu/core/testing';
import { EventSourceParserStream } from 'eventsource-parser/stream';

export const report = {
  v: 1,
  daemonRun: 'r',
  startedAt: new Date(0).toISOString(),
  totalMs: 1,
  outcome: 'ok',
  phases: [],
} as const;

export const one: InstanceStatus = {
  id: 'one',
  kind: 'one',
  state: 'running',
  health: 'ready',
  since: new Date(0).toISOString(),
  critical: false,
  desired: 'up',
  attempt: 0,
};

/** A machine with one instance; the test emits its events. */
export class SmallMachine implements MachineControl {
  readonly listeners = new Set<(event: MachineEvent) => void>();
  readonly downs: { force: boolean }[] = [];
  readonly #released = Promise.withResolvers<void>();
  queue: JobQueue = new SmallQueue();
  instances: readonly InstanceStatus[] = [one];
  gpus: MachineStatus['gpus'] = [];

  status(): MachineStatus {
    return {
      machineId: 'small',
      root: '/nowhere',
      state: 'running',
      daemon: { pid: process.pid, run: 'r', version: '0.0.0', startedAt: new Date(0).toISOString() },
      gpus: this.gpus,
      boot: report,
      instances: this.instances,
      problems: [],
    };
  }

  overview() {
    return Promise.resolve(this.status());
  }

  up() {
    return Promise.resolve(report);
  }

  down(options: { force: boolean }) {
    this.downs.push(options);
    return Promise.resolve();
  }

  readonly moves: string[] = [];

  async startInstance(id: string) {
    this.#move(id, 'start');
  }

  async stopInstance(id: string, { force }: { force: boolean }) {
    this.#move(id, force ? 'stop by force' : 'stop');
  }

  async operate(verb: InstanceVerb, ids: readonly string[], { force }: { force: boolean }) {
    for (const id of ids) this.#move(id, force ? `${verb} by force` : verb);
    return ids.map(() => ({ instance: one }));
  }

  async restartInstance(id: string, { force }: { force: boolean }) {
    this.#move(id, force ? 'restart by force' : 'restart');
  }

  async holdInstance(id: string, { why, signal }: { why: string; signal: AbortSignal }) {
    this.#move(id, `hold: ${why}`);
    signal.addEventListener('abort', () => {
      this.moves.push('release');
      this.#released.resolve();
    });
  }

  #move(instance: string, move: string) {
    if (instance !== 'one') throw new coreErrors.InstanceUnknownError({ instance, known: ['one'] });
    this.moves.push(move);
  }

  subscribe(listener: (event: MachineEvent) => void) {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }

  /** Resolves when a hold has ended. */
  get released(): Promise<void> {
    return this.#released.promise;
  }

  jobs = (): JobQueue => this.queue;

  jobTypes() {
    return ['comfyui'];
  }

  artifactsDir = '/nowhere/artifacts';
  incidents = async () => [];
  config = (): ConfigReport => ({ file: null, config: {} });
  logs = (): MachineLogs => ({ instances: [], daemon: '/nowhere/logs' });
  operations: readonly Operation[] = [];
  metrics = async () => '';

  emit(event: MachineEvent) {
    for (const each of this.listeners) each(event);
  }
}

/** Knows one job, `1`, that is over. */
class SmallQueue implements JobQueue {
  readonly job: JobStatus = { id: '1', type: 'comfyui', state: 'cancelled', createdAt: new Date(0).toISOString() };

  submit() {
    return Promise.resolve('1');
  }

  get(id: string) {
    return id === '1' ? Promise.resolve(this.job) : Promise.reject(new JobUnknownError({ job: id }));
  }

  async list({ types, states = jobStates, limit }: JobListOptions) {
    return [this.job].filter(({ type, state }) => types.includes(type) && states.includes(state)).slice(0, limit);
  }

  async cancel(id: string) {
    await this.get(id);
  }

  async *watch(): AsyncGenerator<JobEvent> {
    yield { event: 'progress', progress: { percent: 50 } };
    yield { event: 'ended', status: this.job };
  }

  async close() {}
}

/** A control service over a small machine, and a client of it. */
export async function startControl(machine = new SmallMachine()) {
  const context = testContext({ kind: 'control' });
  const socketPath = join(context.layout.run, 'mgpu.sock');
  const api = new ControlApi(machine);
  const service = new ControlService({ socketPath }, api, context);
  await service.start();
  const client = new ControlClient({ socketPath });
  return {
    machine,
    service,
    api,
    client,
    socketPath,
    context,
    async [Symbol.asyncDispose]() {
      await client.close();
      await service.stop();
      await api[Symbol.asyncDispose]();
      context[Symbol.dispose]();
    },
  };
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The body as JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  readonly json: any;
}

export interface Ask {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON, or a text as it is. */
  readonly body?: unknown;
  /** The token that is shown; null for none. Default: the machine's. */
  readonly token?: string | null;
}

/** An HTTP service over a small machine, and what asks it. */
export async function startHttp(
  options: HttpOptions = {},
  { machine = new SmallMachine(), clock }: { machine?: SmallMachine; clock?: Clock } = {},
) {
  const context = testContext({ kind: 'http', ...(clock === undefined ? {} : { clock }) });
  const lease = await leasePorts(1);
  const api = new ControlApi(machine, { auditDir: context.layout.logs });
  const service = new HttpService({ port: lease.first, ...options }, api, context);
  await service.start();
  const tokenFile = tokenPath(context.layout);
  const token = existsSync(tokenFile) ? readFileSync(tokenFile, 'utf8').trim() : '';
  const begin = (path: string, { method = 'GET', headers = {}, body, token: shown = token }: Ask = {}) => {
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    const sent = httpRequest({
      host: '127.0.0.1',
      port: lease.first,
      method,
      path,
      agent: false,
      headers: {
        ...(text === undefined ? {} : { 'content-type': 'application/json' }),
        ...(shown === null ? {} : { authorization: `Bearer ${shown}` }),
        ...headers,
      },
    });
    sent.end(text);
    return new Promise<IncomingMessage>((resolve, reject) => sent.once('response', resolve).once('error', reject));
  };
  return {
    machine,
    service,
    api,
    context,
    port: lease.first,
    token,
    tokenFile,
    /** Resolves with the answer's head. */
    begin,
    async ask(path: string, ask?: Ask): Promise<Answer> {
      const response = await begin(path, ask);
      const body = await text(response);
      return {
        status: response.statusCode ?? 0,
        headers: response.headers,
        text: body,
        get json() {
          return JSON.parse(body);
        },
      };
    },
    async [Symbol.asyncDispose]() {
      await service.stop();
      await api[Symbol.asyncDispose]();
      context[Symbol.dispose]();
      lease[Symbol.dispose]();
    },
  };
}

/** A message of server-sent events. */
interface Message {
  readonly id?: string;
  readonly data: unknown;
}

export async function* eventsOf(response: IncomingMessage): AsyncGenerator<Message> {
  const bytes = ReadableStream.from<Uint8Array>(response);
  const parsed = bytes.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
  for await (const { id, data } of parsed) yield { ...(id === undefined ? {} : { id }), data: JSON.parse(data) };
}

/** The next so many messages; then the stream is left. */
export async function messagesOf(response: IncomingMessage, count: number): Promise<Message[]> {
  const messages: Message[] = [];
  for await (const message of eventsOf(response)) {
    messages.push(message);
    if (messages.length === count) break;
  }
  return messages;
}

/** A program of its own that says when it is ready; killed when disposed. */
export async function startFixture(name: string, ...args: string[]) {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'fixtures', name), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const ended = exited.then(() => {
    throw new Error(`${name} ended early`);
  });
  ended.catch(() => {}); // of interest only to who waits
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const said = async (words: string) => {
    while (!output.includes(words)) await Promise.race([once(child.stdout, 'data'), ended]);
  };
  await said('listening');
  return {
    pid: child.pid,
    said,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
