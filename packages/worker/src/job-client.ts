import { randomUUID } from 'node:crypto';
import {
  abortable,
  type Clock,
  type JobEvent,
  type JobListOptions,
  type JobQueue,
  type JobRequest,
  type JobStatus,
  JobUnknownError,
  jobListSchema,
  jobRequestSchema,
  problemsOf,
  type QueueDepth,
  reportError,
  systemClock,
} from '@mgpu/core';
import type { ClientConnection } from './client-connection.ts';
import { ClientClosedError, JobCancelledError, RequestInvalidError, RequestTooLargeError } from './errors.ts';
import { bytesOf, maxBytes } from './job-data.ts';
import { isQueueKey, parseJobId, publicId } from './job-names.ts';
import { watchJob } from './job-watch.ts';

export interface JobClientOptions {
  /** `redis://…`, `rediss://…` or `unix:///path/to.sock`. */
  readonly redis: string;
  /** First part of every key; the workers' `prefix`. Default `mgpu`. */
  readonly prefix?: string;
  /** How often a job is tried. Default: what the worker's configuration says. */
  readonly attempts?: number;
  /** Milliseconds a call waits for Redis before it fails with `WORKER_REDIS_UNREACHABLE`. Default 5,000. */
  readonly waitMs?: number;
  readonly clock?: Clock;
}

/** The producer's side: submits jobs, watches and cancels them. Opens connections with the first call. */
export class JobClient implements JobQueue, AsyncDisposable {
  readonly #options: JobClientOptions;
  readonly #clock: Clock;
  readonly #closed = new AbortController();
  #connection: Promise<ClientConnection> | undefined;

  constructor(options: JobClientOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /**
   * Throws `WORKER_REQUEST_INVALID`, `WORKER_REQUEST_TOO_LARGE` and `WORKER_REDIS_UNREACHABLE`; after the last the queue may
   * have the job all the same: submit it again with the `id` in the error's details.
   */
  async submit(request: JobRequest): Promise<string> {
    const parsed = jobRequestSchema.safeParse(request);
    if (!parsed.success) throw new RequestInvalidError({ problems: problemsOf(parsed.error, 'job') });
    const { type, id = randomUUID(), ...data } = parsed.data;
    if (isQueueKey(id))
      throw new RequestInvalidError({ problems: [`id: "${id}" is a name that the queue itself uses`] });
    const bytes = bytesOf(data);
    if (bytes > maxBytes) throw new RequestTooLargeError({ bytes, maxBytes });
    await (await this.#open()).add(type, id, data, this.#options.attempts);
    return publicId(type, id);
  }

  /** Throws `CORE_JOB_UNKNOWN`, `WORKER_REDIS_UNREACHABLE`. */
  async get(id: string): Promise<JobStatus> {
    const parts = parseJobId(id);
    const known = parts && (await (await this.#open()).read(parts.type, parts.id));
    if (!known) throw new JobUnknownError({ job: id });
    return known.status;
  }

  /**
   * As `JobQueue` says. Failed jobs are told from cancelled ones by reading them, the last 5,000 of a type at most. Throws
   * `WORKER_REQUEST_INVALID`, `WORKER_REDIS_UNREACHABLE`.
   */
  async list(options: JobListOptions): Promise<readonly JobStatus[]> {
    const parsed = jobListSchema.safeParse(options);
    if (!parsed.success) throw new RequestInvalidError({ problems: problemsOf(parsed.error, 'list') });
    const { types, ...selection } = parsed.data;
    return (await this.#open()).list([...new Set(types)], selection);
  }

  /** How many jobs of these types are in the queue. Throws `WORKER_REDIS_UNREACHABLE`. */
  async depths(types: readonly string[]): Promise<readonly QueueDepth[]> {
    const connection = await this.#open();
    return await Promise.all(types.map(async (type) => ({ type, ...(await connection.depth(type)) })));
  }

  /** Resolves when the job is cancelled or its worker has been told. Throws `CORE_JOB_UNKNOWN`. */
  async cancel(id: string): Promise<void> {
    const parts = parseJobId(id);
    const report = JSON.stringify(reportError(new JobCancelledError({ job: id })));
    const isKnown = parts && (await (await this.#open()).cancel(parts.type, parts.id, report));
    if (!isKnown) throw new JobUnknownError({ job: id });
  }

  /** Throws `CORE_JOB_UNKNOWN`, `WORKER_REDIS_UNREACHABLE` at the beginning; later breaks are waited for. */
  async *watch(id: string, { signal }: { signal?: AbortSignal } = {}): AsyncGenerator<JobEvent, void> {
    const parts = parseJobId(id);
    if (!parts) throw new JobUnknownError({ job: id });
    const connection = await this.#open();
    yield* watchJob(connection, parts, { signal, closed: this.#closed.signal });
  }

  /** Watches that are open end with `WORKER_CLIENT_CLOSED`. */
  async close(): Promise<void> {
    this.#closed.abort(new ClientClosedError({}));
    const connection = await this.#connection?.catch(() => undefined); // then there is nothing to close
    await connection?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #open(): Promise<ClientConnection> {
    this.#closed.signal.throwIfAborted();
    this.#connection ??= this.#connect();
    return abortable(this.#connection, this.#closed.signal);
  }

  /** Loaded when needed: whoever only imports the definition does not pay for BullMQ. */
  async #connect(): Promise<ClientConnection> {
    const { ClientConnection } = await import('./client-connection.ts');
    const { redis, prefix = 'mgpu', waitMs = 5_000 } = this.#options;
    return new ClientConnection({ url: redis, prefix, waitMs, clock: this.#clock });
  }
}
