import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { type ConnectorBinding, type JobEvent, type JobRequest, type JobStatus, mockGpus } from '@mgpu/core';
import { type TestContextOptions, testContext } from '@mgpu/core/testing';
import { Queue } from 'bullmq';
import { JobClient, readStatus, WorkerService, type WorkerStatus, workerConfigSchema } from '../src/index.ts';
import { parseJobId, queueName } from '../src/job-names.ts';
import { RedisLink } from '../src/redis.ts';

/** One thing the fixture connector noted. */
export interface Note {
  readonly event: 'run' | 'submit' | 'done' | 'abort';
  readonly id: string;
  readonly engine: string;
  readonly attempt?: number;
  readonly resumed?: unknown;
  readonly reason?: string;
}

/** A Redis on a Unix socket in a folder of its own, which can be killed and started again. */
export class TestRedis implements AsyncDisposable {
  readonly dir = mkdtempSync(join(tmpdir(), 'mgpu-worker-'));
  readonly socket = join(this.dir, 'redis.sock');
  readonly url = `unix://${this.socket}`;
  #server: ReturnType<typeof spawn> | undefined;

  readonly #args: readonly string[];

  constructor(...args: readonly string[]) {
    this.#args = args;
  }

  static async start(...more: readonly string[]): Promise<TestRedis> {
    const redis = new TestRedis(...more);
    await redis.up();
    return redis;
  }

  async up(): Promise<void> {
    const args = [
      '--port',
      '0',
      '--unixsocket',
      this.socket,
      '--dir',
      this.dir,
      '--appendonly',
      'yes',
      '--save',
      '',
      ...this.#args,
    ];
    this.#server = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    for await (const chunk of this.#server.stdout ?? []) if (String(chunk).includes('eady to accept')) break;
    this.#server.stdout?.resume();
  }

  /** Still there, but says nothing any more. */
  pause(): void {
    this.#server?.kill('SIGSTOP');
  }

  async removeJob(type: string, id: string): Promise<void> {
    const link = new RedisLink({ url: this.url, patient: true });
    const queue = new Queue(queueName(type), { connection: link.client, prefix: 'mgpu' });
    await queue.remove(parseJobId(id)?.id ?? '');
    await queue.close();
    link.close();
  }

  /** Waits until no more than that many connections are open, the one that asks included. */
  async untilClients(count: number): Promise<void> {
    const link = new RedisLink({ url: this.url, patient: true });
    await eventually(async () => {
      const clients = String(await link.client.client('LIST'))
        .trim()
        .split('\n');
      return clients.length <= count ? true : undefined;
    });
    link.close();
  }

  async kill(): Promise<void> {
    const server = this.#server;
    if (!server || server.exitCode !== null || server.signalCode !== null) return;
    const exited = once(server, 'exit');
    server.kill('SIGKILL');
    await exited;
    rmSync(this.socket, { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

export interface MachineOptions {
  readonly config?: Readonly<Record<string, unknown>>;
  readonly types?: readonly string[];
  readonly gpu?: number;
}

/** A worker with an engine that the fixture connector plays, in a root of its own or one it shares. */
export class TestMachine implements AsyncDisposable {
  readonly service: WorkerService;
  readonly context: ReturnType<typeof testContext>;
  readonly #runs: string;
  readonly #down: string;

  constructor(redis: TestRedis, options: MachineOptions = {}) {
    const { config, types = ['fixture'], gpu = 0 } = options;
    const dir = mkdtempSync(join(redis.dir, 'machine-'));
    this.#runs = join(dir, 'runs.jsonl');
    this.#down = join(dir, 'down');
    appendFileSync(this.#runs, '');
    this.context = testContext({ root: join(dir, 'root'), ...contextOf(redis, { dir, types, gpu }) });
    this.service = new WorkerService(workerConfigSchema.parse(config ?? {}), this.context);
  }

  get notes(): readonly Note[] {
    return readFileSync(this.#runs, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Note);
  }

  runsOf(id: string): readonly Note[] {
    return this.notes.filter((note) => note.id === id && note.event === 'run');
  }

  breakEngine(): void {
    appendFileSync(this.#down, '');
  }

  mendEngine(): void {
    rmSync(this.#down, { force: true });
  }

  async until(event: Note['event'], id: string): Promise<Note> {
    return eventually(() => this.notes.find((note) => note.id === id && note.event === event));
  }

  async untilStatus(matches: (status: WorkerStatus) => boolean): Promise<WorkerStatus> {
    return eventually(async () => {
      const status = await readStatus(this.service.statusFile);
      return status && matches(status) ? status : undefined;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.service.stop({ force: true });
    this.context[Symbol.dispose]();
  }
}

/** Context options of a worker whose engine is the fixture connector. */
export function contextOf(
  redis: { readonly url: string },
  { dir, types = ['fixture'], gpu = 0 }: { dir: string; types?: readonly string[]; gpu?: number },
): TestContextOptions {
  const binding: ConnectorBinding = {
    kind: 'fixture',
    types,
    module: pathToFileURL(join(import.meta.dirname, 'fixtures/connector.mjs')).href,
    endpoint: {
      instance: `fixture_gpu${gpu}`,
      kind: 'fixture',
      gpu,
      url: new URL('http://127.0.0.1:1'),
      local: { runs: join(dir, 'runs.jsonl'), down: join(dir, 'down') },
    },
  };
  const own = mockGpus(gpu + 1)[gpu];
  return {
    kind: 'worker',
    ...(own ? { gpu: own } : {}),
    endpoints: [{ instance: 'redis', kind: 'redis', url: new URL(redis.url) }],
    connectors: [binding],
  };
}

export const fixtureJob = (input: Readonly<Record<string, unknown>>, more: Partial<JobRequest> = {}): JobRequest => ({
  type: 'fixture',
  input,
  ...more,
});

/** A Redis and a client of a test's own, and jobs that end when their file is there, as an engine's would. */
export class Scene implements AsyncDisposable {
  readonly redis: TestRedis;
  readonly client: JobClient;

  static async open(): Promise<Scene> {
    return new Scene(await TestRedis.start());
  }

  constructor(redis: TestRedis) {
    this.redis = redis;
    this.client = new JobClient({ redis: redis.url });
  }

  slowJob(name: string): JobRequest {
    return fixtureJob({ does: 'until-file', file: join(this.redis.dir, name), checkpoint: 'p1', submit: true });
  }

  finish(name: string): void {
    writeFileSync(join(this.redis.dir, name), '');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    await this.redis[Symbol.asyncDispose]();
  }
}

/** Every event up to the end. */
export async function watchAll(client: JobClient, id: string): Promise<JobEvent[]> {
  const events: JobEvent[] = [];
  for await (const event of client.watch(id)) events.push(event);
  return events;
}

export async function ended(client: JobClient, id: string): Promise<JobStatus> {
  const last = (await watchAll(client, id)).at(-1);
  if (last?.event !== 'ended') throw new TypeError(`the watch of ${id} ended with ${JSON.stringify(last)}`);
  return last.status;
}

/** Asks every 10 ms; the test's own time limit ends it. */
export async function eventually<T>(ask: () => T | undefined | Promise<T | undefined>): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    await sleep(10);
  }
}

export const isThere = (path: string) => existsSync(path);
export { JobClient };
