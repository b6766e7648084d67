import type { ErrorReport, JobProgress, JobResult, QueueDepth } from '@mgpu/core/jobs';
import {
  createRedisBackend,
  type Job,
  type JobJson,
  type JobType,
  Queue,
  QueueEvents,
  UnrecoverableError,
  Worker,
} from 'bullmq';
import { JobLostError } from './errors.ts';
import { isProgress, type JobData } from './job-data.ts';
import { publicId, queueName } from './job-names.ts';
import type { RedisClient } from './redis.ts';

/** How many ended jobs stay in Redis, and how long. */
export interface KeepJobs {
  readonly count: number;
  readonly ageMs: number;
}

export interface JobSourceOptions {
  readonly type: string;
  readonly client: RedisClient;
  readonly prefix: string;
  /** Name of this worker, kept with every job it takes. */
  readonly owner: string;
  readonly lockMs: number;
  readonly keepJobs: KeepJobs;
  /** For jobs that do not say how often they may be tried. */
  readonly attempts: number;
  readonly retryDelayMs: number;
  readonly onError: (error: Error) => void;
}

type BullJob = Job<JobData, JobResult, string>;

// Stalled jobs are resumed, not failed; `JobRunner` ends those that take their workers down.
const anyNumberOfStalls = 1_000_000;
/** How long `JobSource.next` waits. */
export const waitMs = 5_000;
/** Codes of BullMQ's scripts: job gone, lock gone, not active, lock of somebody else. */
const lostCodes = new Set([-1, -2, -3, -6]);

class FetchingWorker extends Worker<JobData, JobResult, string> {
  /** Data that is no JSON becomes null, for the job's user to refuse; nobody would end such a job otherwise. */
  protected override createJob(json: JobJson, id: string): BullJob {
    try {
      return super.createJob(json, id);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      return super.createJob({ ...json, data: 'null' }, id);
    }
  }

  /** The job that a finishing script fetched along, if it did. */
  async following(answer: unknown, token: string): Promise<BullJob | undefined> {
    const [data, id] = Array.isArray(answer) ? (answer as [JobJson | undefined, string | undefined]) : [];
    return data ? this.nextJobFromJobData(data, id, token) : undefined;
  }
}

/** A job this worker holds the lock of. */
export class TakenJob {
  readonly id: string;
  readonly publicId: string;
  readonly token: string;
  readonly #job: BullJob;
  readonly #source: JobSource;

  constructor(job: BullJob, token: string, source: JobSource) {
    this.id = job.id ?? '';
    this.publicId = publicId(source.type, this.id);
    this.token = token;
    this.#job = job;
    this.#source = source;
  }

  get type(): string {
    return this.#source.type;
  }

  /** As it was added, by whomever: to be looked at before use. */
  get data(): unknown {
    return this.#job.data;
  }

  /** Counted from 1. */
  get attempt(): number {
    return this.#job.attemptsMade + 1;
  }

  /** Whether it is not tried again when this attempt fails. */
  get isLastAttempt(): boolean {
    return this.attempt >= (this.#job.opts.attempts || this.#source.options.attempts);
  }

  /** Whether no worker had it before. */
  get isFresh(): boolean {
    return this.#job.attemptsStarted <= 1 && this.deaths === 0;
  }

  /** How often its worker was gone before an attempt had come to an end. */
  get deaths(): number {
    return this.#job.stalledCounter;
  }

  /** Milliseconds since the epoch. */
  get submittedAt(): number {
    return this.#job.timestamp;
  }

  /** Milliseconds since the epoch. */
  get takenAt(): number {
    return this.#job.processedOn ?? this.#job.timestamp;
  }

  /** Ends it; the answer is the next job where `fetchNext` asked for one. Throws `WORKER_JOB_LOST`. */
  complete(result: JobResult, fetchNext: boolean): Promise<TakenJob | undefined> {
    return this.#finish(() => this.#job.moveToCompleted(result, this.token, fetchNext));
  }

  /** Ends the attempt, and the job when `retry` is false or no attempt is left. Throws `WORKER_JOB_LOST`. */
  fail(report: ErrorReport, retry: boolean, fetchNext: boolean): Promise<TakenJob | undefined> {
    // BullMQ keeps one string: the report travels in it, so that whoever reads the job has all of it.
    const message = JSON.stringify(report);
    const error = retry ? new Error(message) : new UnrecoverableError(message);
    error.stack = report.message;
    const { attempts, retryDelayMs } = this.#source.options;
    this.#job.opts.attempts ||= attempts;
    this.#job.opts.backoff ??= { type: 'exponential', delay: retryDelayMs };
    return this.#finish(() => this.#job.moveToFailed(error, this.token, fetchNext));
  }

  /** Puts it back in front of the queue, as if it had not been taken. */
  async release(): Promise<void> {
    await this.#finish(() => this.#job.moveToWait(this.token));
  }

  async progress(progress: JobProgress): Promise<void> {
    await this.#job.updateProgress({ ...progress });
  }

  async #finish(work: () => Promise<unknown>): Promise<TakenJob | undefined> {
    try {
      return await this.#source.following(await work(), this.token);
    } catch (error) {
      const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
      if (typeof code === 'number' && lostCodes.has(code))
        throw new JobLostError({ job: this.publicId }, { cause: error });
      throw error;
    }
  }
}

/** The worker's side of one queue. Fetches when asked; locks, retries and recovery belong to its user. */
export class JobSource {
  readonly type: string;
  readonly options: JobSourceOptions;
  readonly #worker: FetchingWorker;

  constructor(options: JobSourceOptions) {
    const { type, client, prefix, owner, lockMs, keepJobs } = options;
    this.type = type;
    this.options = options;
    const keep = { count: keepJobs.count, age: Math.ceil(keepJobs.ageMs / 1_000) };
    this.#worker = new FetchingWorker(queueName(type), null, {
      connection: client,
      prefix,
      name: owner,
      autorun: false,
      lockDuration: lockMs,
      stalledInterval: Math.ceil(lockMs / 3),
      maxStalledCount: anyNumberOfStalls,
      skipStalledCheck: true,
      skipLockRenewal: true,
      drainDelay: waitMs / 1_000,
      removeOnComplete: keep,
      removeOnFail: keep,
    });
    this.#worker.on('error', options.onError);
  }

  /** The next job; with `wait` one is waited for, `waitMs` long, or up to 10 s where jobs wait for their retry. */
  async next(token: string, { wait }: { wait: boolean }): Promise<TakenJob | undefined> {
    const job = await this.#worker.getNextJob(token, { block: wait });
    return job ? new TakenJob(job, token, this) : undefined;
  }

  /** A job whose lock is held with this token already. */
  async find(id: string, token: string): Promise<TakenJob | undefined> {
    return this.following([await this.#worker.backend.getJobData(id), id], token);
  }

  async following(answer: unknown, token: string): Promise<TakenJob | undefined> {
    const job = await this.#worker.following(answer, token);
    return job ? new TakenJob(job, token, this) : undefined;
  }

  /** Returns jobs whose worker is gone to the queue; two calls apart, so that a live one can renew in between. */
  async recoverStalled(): Promise<void> {
    await this.#worker.backend.moveStalledJobsToWait();
  }

  /** Stops waiting for jobs. Those that are held can still be ended. */
  async close(): Promise<void> {
    await this.#worker.close(true);
  }
}

/** A place in which BullMQ keeps jobs; `paused` has those that wait in a queue that BullMQ 5 has paused. */
export type JobPlace = Exclude<JobType, 'waiting' | 'repeat'> | 'paused';

/** The producer's side of one queue. */
export class JobSink {
  readonly type: string;
  readonly #queue: Queue<JobData, JobResult, string>;

  constructor(type: string, client: RedisClient, prefix: string) {
    this.type = type;
    this.#queue = new Queue(queueName(type), {
      connection: client,
      prefix,
      skipVersionCheck: true,
      skipWaitingForReady: true,
      skipMetasUpdate: true,
    });
    // Whoever adds hears of it; without a listener Node would end the process.
    this.#queue.on('error', () => {});
  }

  /** Adding the same id twice adds it once. */
  async add(id: string, data: JobData, attempts: number | undefined): Promise<void> {
    await this.#queue.add(this.#queue.name, data, { jobId: id, ...(attempts === undefined ? {} : { attempts }) });
  }

  /** How many jobs it has; those with a priority wait, too. */
  async depth(): Promise<Omit<QueueDepth, 'type'>> {
    const counts = await this.#queue.getJobCounts('waiting', 'prioritized', 'active', 'delayed', 'failed');
    const { waiting = 0, prioritized = 0, active = 0, delayed = 0, failed = 0 } = counts;
    return { waiting: waiting + prioritized, active, delayed, failed };
  }

  /**
   * Ids of the jobs in each place, at the same moment: those that came last first (of `delayed` those that are due last, of
   * `prioritized` the least urgent), from the one at `start` on.
   */
  async idsIn(places: readonly JobPlace[], start: number, count: number): Promise<readonly (readonly string[])[]> {
    // BullMQ 6 does not name `paused` any more, and reads it all the same.
    return this.#queue.backend.getRanges([...places] as JobType[], start, start + count - 1, false);
  }
}

/** A change of a job, as BullMQ's event stream tells it. */
export type QueueChange =
  | { readonly change: 'waiting' | 'active' | 'delayed' | 'removed' }
  | { readonly change: 'progress'; readonly progress: JobProgress }
  | { readonly change: 'completed'; readonly result: JobResult }
  | { readonly change: 'failed'; readonly failedReason: string };

/** Follows the event stream of one queue from a known position; comes back by itself after a break, missing nothing. */
export class QueueFeed {
  readonly #events: QueueEvents;

  constructor(
    type: string,
    options: {
      client: RedisClient;
      prefix: string;
      after: string;
      /** `at`: position in the stream. */
      onChange: (id: string, change: QueueChange, at: string) => void;
    },
  ) {
    const { client, prefix, after, onChange } = options;
    // Left to itself BullMQ reads on a copy of the connection that cannot be closed while Redis is away.
    this.#events = new QueueEvents(
      queueName(type),
      { connection: client, prefix, lastEventId: after, blockingTimeout: waitMs, skipVersionCheck: true },
      (name, own) => createRedisBackend(name, own),
    );
    // A break heals by itself; the owner of the connection tells of it.
    this.#events.on('error', () => {});
    for (const change of ['waiting', 'active', 'delayed', 'removed'] as const)
      this.#events.on(change, ({ jobId }: { jobId: string }, at: string) => onChange(jobId, { change }, at));
    this.#events.on('progress', ({ jobId, data }, at) => {
      if (isProgress(data)) onChange(jobId, { change: 'progress', progress: data }, at);
    });
    this.#events.on('completed', ({ jobId, returnvalue }, at) =>
      onChange(jobId, { change: 'completed', result: returnvalue as unknown as JobResult }, at),
    );
    this.#events.on('failed', ({ jobId, failedReason }, at) => onChange(jobId, { change: 'failed', failedReason }, at));
  }

  /** The connection is disconnected with it. */
  close(): void {
    this.#events.close().catch(() => {}); // nothing is left to say about a connection that is given up
  }
}
