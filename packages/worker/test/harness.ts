import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { type ConnectorBinding, type JobEvent, type JobRequest, type JobStatus, mockGpus } from '@mgpu/core';
import { type TestContextOptions, testContext } from '@mgpu/core/testing';
import { Queue } from 'bullmq';
import { JobClient, readStatus, WorkerService, type WorkerStatus, workerConfigSchema } from '../src/index.ts';
import { keyBase, parseJobId, queueName } from '../src/job-names.ts';
import { type RedisClient, RedisLink } from '../src/redis.ts';
import type { HostSettings } from '../src/settings.ts';

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
      // On a busy disk it would answer before it has written, and a killed one would have lost what it had promised.
      '--appendfsync',
      'always',
      '--save',
      '',
      ...this.#args,
    ];
    const server = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#server = server;
    let said = '';
    for await (const chunk of server.stdout.iterator({ destroyOnReturn: false })) {
      said += String(chunk);
      if (said.includes('eady to accept')) break;
    }
    if (!said.includes('eady to accept')) throw new Error(`redis-server ended at its start: ${said}`);
    server.stdout.resume();
  }

  /** Still there, but says nothing any more. */
  pause(): void {
    this.#server?.kill('SIGSTOP');
  }

  resume(): void {
    this.#server?.kill('SIGCONT');
  }

  async ask<T>(work: (client: RedisClient) => Promise<T>): Promise<T> {
    const link = new RedisLink({ url: this.url, patient: true });
    try {
      return await work(link.client);
    } finally {
      link.close();
    }
  }

  /** What another BullMQ client does to the queue of a type. */
  async withQueue<T>(type: string, work: (queue: Queue) => Promise<T>): Promise<T> {
    return this.ask(async (client) => {
      const queue = new Queue(queueName(type), { connection: client, prefix: 'mgpu' });
      const answer = await work(queue);
      await queue.close();
      return answer;
    });
  }

  async removeJob(type: string, id: string): Promise<void> {
    await this.withQueue(type, (queue) => queue.remove(parseJobId(id)?.id ?? ''));
  }

  /** As if the lock of a job had expired. */
  async dropLock(type: string, id: string): Promise<void> {
    await this.ask((client) => client.del(`${keyBase('mgpu', type)}${parseJobId(id)?.id}:lock`));
  }

  /** Waits until workers have looked that many times for jobs whose worker is gone. */
  async untilStalledChecks(type: string, count: number): Promise<void> {
    const seen = new Set<string>();
    await this.ask((client) =>
      eventually(async () => {
        const at = await client.get(`${keyBase('mgpu', type)}stalled-check`);
        if (at) seen.add(at);
        return seen.size > count ? true : undefined;
      }),
    );
  }

  clients(): Promise<number> {
    return this.ask(
      async (client) =>
        String(await client.client('LIST'))
          .trim()
          .split('\n').length,
    );
  }

  /** Waits until no more than that many connections are open, the one that asks included. */
  async untilClients(count: number): Promise<void> {
    await eventually(async () => ((await this.clients()) <= count ? true : undefined));
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

  /** What its process was started with. */
  get settings(): HostSettings {
    return JSON.parse(readFileSync(join(this.context.layout.run, `${this.service.id}.settings.json`), 'utf8'));
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
      const status = readStatus(this.service.statusFile);
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

  /** `percent`: how far it says it is from its start; near its end the worker takes the next job, too. */
  slowJob(name: string, percent = 0): JobRequest {
    const file = join(this.redis.dir, name);
    return fixtureJob({ does: 'until-file', file, percent, checkpoint: 'p1', submit: true });
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

export { JobClient };
