import {
  abortable,
  type Clock,
  deadline,
  type JobStatus,
  MgpuError,
  type QueueDepth,
  reportError,
} from '@mgpu/core/jobs';
import { RedisUnreachableError } from './errors.ts';
import { JobFeed } from './job-feed.ts';
import { type JobSelection, listJobs } from './job-list.ts';
import { previewChannel } from './job-names.ts';
import { JobScripts } from './job-scripts.ts';
import { type KnownJob, readJob } from './job-status.ts';
import { PreviewListener, type PreviewMessage } from './preview-listener.ts';
import { JobSink } from './queue.ts';
import { RedisLink } from './redis.ts';

const pauseMs = 20;

/** What a client has open: one connection for commands, one for previews, one a queue for its changes. */
export class ClientConnection {
  readonly #link: RedisLink;
  readonly #prefix: string;
  readonly #waitMs: number;
  readonly #clock: Clock;
  readonly #sinks = new Map<string, JobSink>();
  readonly #feeds = new Map<string, Promise<JobFeed>>();
  #previews: PreviewListener | undefined;

  constructor(options: { url: string; prefix: string; waitMs: number; clock: Clock }) {
    const { url, prefix, waitMs, clock } = options;
    this.#link = new RedisLink({ url, commandTimeoutMs: waitMs });
    this.#prefix = prefix;
    this.#waitMs = waitMs;
    this.#clock = clock;
  }

  async add(
    type: string,
    id: string,
    data: Parameters<JobSink['add']>[1],
    attempts: number | undefined,
  ): Promise<void> {
    await this.#within(() => this.#sink(type).add(id, data, attempts), id);
  }

  depth(type: string): Promise<Omit<QueueDepth, 'type'>> {
    return this.#within(() => this.#sink(type).depth());
  }

  read(type: string, id: string): Promise<KnownJob | undefined> {
    return this.#within(() => readJob(this.#link, this.#prefix, type, id));
  }

  list(types: readonly string[], selection: JobSelection): Promise<readonly JobStatus[]> {
    return this.#within(() =>
      listJobs(
        this.#link,
        this.#prefix,
        types.map((type) => this.#sink(type)),
        selection,
      ),
    );
  }

  /** Whether there is such a job. */
  cancel(type: string, id: string, report: string): Promise<boolean> {
    const now = this.#clock.now();
    return this.#within(() => new JobScripts(this.#link, this.#prefix, type).cancel(id, report, now));
  }

  /** Whether the changes of a queue's jobs are followed. */
  follows(type: string): boolean {
    return this.#feeds.has(type);
  }

  /** Follows the changes of a queue's jobs, until the client is closed. */
  feed(type: string): Promise<JobFeed> {
    const known = this.#feeds.get(type);
    if (known) return known;
    const opening = this.#within(() => JobFeed.open(this.#link, this.#prefix, type));
    this.#feeds.set(type, opening);
    opening.catch(() => this.#feeds.delete(type)); // the next one tries again
    return opening;
  }

  listenToPreviews(jobId: string, listener: (preview: PreviewMessage) => void): () => void {
    this.#previews ??= new PreviewListener(this.#link);
    return this.#previews.listen(previewChannel(this.#prefix, jobId), listener);
  }

  async close(): Promise<void> {
    this.#previews?.close();
    this.#link.close();
    const feeds = await Promise.allSettled(this.#feeds.values());
    for (const each of feeds) if (each.status === 'fulfilled') each.value.close();
  }

  #sink(type: string): JobSink {
    const sink = this.#sinks.get(type) ?? new JobSink(type, this.#link.client, this.#prefix);
    this.#sinks.set(type, sink);
    return sink;
  }

  /** Tries as often as connections break, for `waitMs` in all; each of the commands may be given twice. `added`: id of a new job. */
  async #within<T>(work: () => Promise<T>, added?: string): Promise<T> {
    const until = this.#clock.elapsed() + this.#waitMs;
    for (;;) {
      try {
        await this.#connected(Math.max(0, until - this.#clock.elapsed()), added);
        return await work();
      } catch (error) {
        if (error instanceof MgpuError) throw error;
        const isAnswer = error instanceof Error && error.name === 'ReplyError';
        if (isAnswer || this.#clock.elapsed() >= until)
          throw this.#unreachable(reportError(error).message, added, error);
        // The connection is about to be seen as broken.
        await this.#clock.sleep(pauseMs);
      }
    }
  }

  #unreachable(problem: string, added: string | undefined, cause?: unknown): MgpuError {
    const { url } = this.#link;
    const details = { url, problem, waitedMs: this.#waitMs, ...(added === undefined ? {} : { id: added }) };
    return new RedisUnreachableError(details, { cause });
  }

  async #connected(ms: number, added: string | undefined): Promise<void> {
    if (this.#link.connected) return;
    const there = Promise.withResolvers<void>();
    const off = this.#link.onChange(() => {
      if (this.#link.connected) there.resolve();
    });
    using limit = deadline(this.#clock, ms, () => this.#unreachable(this.#link.problem, added));
    try {
      await abortable(there.promise, limit.signal);
    } finally {
      off();
    }
  }
}
