import { randomUUID } from 'node:crypto';
import { type AttemptOutcome, type Clock, deadline, JobHandoverError, type Logger } from '@mgpu/core/jobs';
import type { EngineGate } from './engine-gate.ts';
import { JobCancelledError, JobLostError } from './errors.ts';
import type { JobOutcome, JobRunner } from './job-runner.ts';
import type { JobScripts } from './job-scripts.ts';
import { pause } from './pause.ts';
import { Prefetch } from './prefetch.ts';
import { type JobSource, type TakenJob, waitMs } from './queue.ts';
import { RunningJob } from './running-job.ts';
import type { Tally } from './tally.ts';

export interface ConsumerOptions {
  readonly source: JobSource;
  readonly scripts: JobScripts;
  readonly runner: JobRunner;
  readonly gate: EngineGate;
  readonly tally: Tally;
  readonly concurrency: number;
  readonly clock: Clock;
  readonly log: Logger;
}

const retryMs = 500;
/** Between two looks for jobs that nobody idle is going to take. */
const surplusPauseMs = 100;
const idleSlackMs = 2_000;
const rememberedCancels = 1_000;
/** How long a resumed job waits for its engine to come back before others may have it. */
const engineBackMs = 600_000;

/**
 * Takes the jobs of one type while the engine can have them and ends them in the queue. Beyond its first job, up to
 * `concurrency`, it takes only what no idle worker is there for, and only when its own are about to end: prefetching
 * never leaves a GPU without work.
 * Ending one fetches the next in the same round trip.
 */
export class Consumer {
  readonly type: string;
  readonly running = new Map<string, RunningJob>();
  readonly #options: ConsumerOptions;
  readonly #tokens: string;
  readonly #cancelled = new Set<string>();
  readonly #stop = new AbortController();
  readonly #prefetch: Prefetch;
  #slotFreed = Promise.withResolvers<void>();
  #tokensGiven = 0;

  constructor(options: ConsumerOptions) {
    this.#options = options;
    this.type = options.source.type;
    this.#prefetch = new Prefetch(options.clock);
    this.#tokens = `${options.source.options.owner}:${randomUUID()}:`;
  }

  /** The job that was given to the engine first. */
  get oldest(): RunningJob | undefined {
    return this.running.values().next().value;
  }

  /** Resumes what our predecessor left, then takes jobs until `drain`. Needs a connection to begin. */
  async run(): Promise<void> {
    const { signal } = this.#stop;
    await this.#untilDone('could not resume jobs', () => this.#resume());
    while (!signal.aborted) {
      try {
        await this.#options.gate.whenOpen(signal);
        await this.#slot();
        if (this.running.size === 0) await this.#fetch({ wait: true });
        else if (this.#prefetch.allows(this.running.values()) && (await this.#options.scripts.hasSurplus()))
          await this.#fetch({ wait: false });
        // The next job is for a worker that has none; ask again when one of ours has ended, or soon.
        else await pause(this.#options.clock, surplusPauseMs, { until: this.#slotFreed.promise, signal });
      } catch (error) {
        if (signal.aborted) return;
        await this.#pause('could not fetch a job', error);
      }
    }
  }

  /** Takes no more jobs; resolves when those that run have ended. */
  async drain(): Promise<void> {
    this.#stop.abort();
    while (this.running.size > 0) await this.#slotFreed.promise;
  }

  /** Lets go of what still runs; a worker to come finds it by its checkpoint. */
  abandon(): void {
    const { owner: worker } = this.#options.source.options;
    for (const each of this.running.values()) each.abort(new JobHandoverError({ job: each.taken.publicId, worker }));
  }

  cancel(id: string): void {
    const running = this.running.get(id);
    if (running) {
      running.abort(new JobCancelledError({ job: running.taken.publicId }));
      return;
    }
    // It may be on its way to us.
    this.#cancelled.add(id);
    for (const oldest of this.#cancelled) {
      if (this.#cancelled.size <= rememberedCancels) break;
      this.#cancelled.delete(oldest);
    }
  }

  /** Keeps the locks of the jobs that run and looks after requests to cancel that were missed. */
  async renew(): Promise<void> {
    const jobs = [...this.running.values()].map(({ taken: { id, token } }) => ({ id, token }));
    if (jobs.length === 0) return;
    const { scripts, source } = this.#options;
    const answers = await scripts.renewLocks(jobs, source.options.lockMs);
    for (const [index, answer] of answers.entries()) {
      // It may have ended, and been taken anew, while we asked.
      const running = this.running.get(jobs[index]?.id ?? '');
      if (!running || running.taken.token !== jobs[index]?.token) continue;
      const job = running.taken.publicId;
      if (answer === 'cancelled') running.abort(new JobCancelledError({ job }));
      if (answer === 'lost') running.abort(new JobLostError({ job }));
    }
  }

  /** Returns jobs of dead workers to the queue, and forgets those that ended without a worker. */
  async tidy(): Promise<void> {
    const { source, scripts, clock } = this.#options;
    const { count, ageMs } = source.options.keepJobs;
    await source.recoverStalled();
    await scripts.trimEnded(count, clock.now() - ageMs);
  }

  async #resume(): Promise<void> {
    const { source, scripts, log } = this.#options;
    const { owner, lockMs } = source.options;
    const ids = await scripts.takeOver(owner, this.#tokens, lockMs);
    for (const id of ids) {
      if (this.running.has(id)) continue;
      const taken = await source.find(id, this.#tokens + id);
      if (!taken) continue;
      log.info(`${taken.publicId}: resumed`, { attempt: taken.attempt });
      void this.#resumeOne(this.#enter(taken));
    }
  }

  async #resumeOne(running: RunningJob): Promise<void> {
    const { gate, clock } = this.#options;
    const { signal } = running;
    using patience = deadline(clock, engineBackMs, () => undefined, signal);
    // Cancelled or stopping: the runner knows what to do.
    await gate.whenOpen(patience.signal).catch(() => {});
    if (gate.isOpen || signal.aborted) return this.#work(running);
    await this.#release(running);
  }

  async #slot(): Promise<void> {
    while (this.running.size >= this.#options.concurrency) await this.#slotFreed.promise;
  }

  async #fetch({ wait }: { wait: boolean }): Promise<void> {
    const { source, gate, scripts } = this.#options;
    const { owner } = source.options;
    const { signal } = this.#stop;
    if (signal.aborted) return;
    if (wait) await scripts.markIdle(owner, waitMs + idleSlackMs);
    const taken = await source.next(`${this.#tokens}${this.#tokensGiven++}`, { wait });
    if (!taken) return;
    if (wait) await scripts.markBusy(owner);
    if (!signal.aborted && (await gate.confirm(signal))) void this.#work(this.#enter(taken));
    else await taken.release();
  }

  #enter(taken: TakenJob): RunningJob {
    const running = new RunningJob(taken, this.#options.clock.elapsed());
    this.running.set(taken.id, running);
    // Somebody cancelled a job of this id before it was here; Redis knows whether that was this one.
    if (this.#cancelled.delete(taken.id))
      this.renew().catch((error: unknown) =>
        this.#options.log.warn(`${taken.publicId}: may be cancelled late`, { error }),
      );
    return running;
  }

  /** Runs it and whatever its end fetches. */
  async #work(first: RunningJob): Promise<void> {
    for (let running: RunningJob | undefined = first; running; ) {
      const job: RunningJob = running;
      const outcome = await this.#attempt(job);
      this.#count(job, outcome);
      const next: TakenJob | undefined = await this.#untilDone(`${job.taken.publicId} could not be ended`, () =>
        this.#end(job, outcome),
      );
      if (outcome.end === 'completed') this.#prefetch.learn(job);
      running = next && this.#enter(next);
      this.#leave(job);
      // The stop came while the next one was on its way.
      if (running && this.#stop.signal.aborted) return this.#release(running);
    }
  }

  async #release(running: RunningJob): Promise<void> {
    const { publicId } = running.taken;
    await this.#untilDone(`${publicId} could not be released`, () => this.#end(running, { end: 'released' }));
    this.#leave(running);
  }

  #leave(job: RunningJob): void {
    this.running.delete(job.taken.id);
    this.#slotFreed.resolve();
    this.#slotFreed = Promise.withResolvers();
  }

  #count({ taken, startedAt }: RunningJob, outcome: JobOutcome): void {
    const { tally, clock } = this.#options;
    if (outcome.end !== 'completed' && outcome.end !== 'failed') return; // that was no attempt
    tally.count(taken.type, attemptOutcome(taken, outcome), clock.elapsed() - startedAt);
  }

  async #attempt(running: RunningJob): Promise<JobOutcome> {
    try {
      return await this.#options.runner.run(running);
    } catch (error) {
      const { publicId } = running.taken;
      this.#options.log.error(`${publicId}: left to be recovered`, { error });
      return { end: 'abandoned' };
    }
  }

  async #end({ taken, signal }: RunningJob, outcome: JobOutcome): Promise<TakenJob | undefined> {
    const others = [...this.running.values()].filter((each) => each.taken !== taken);
    const hasRoom = others.length < this.#options.concurrency && this.#prefetch.allows(others);
    const fetchNext = !this.#stop.signal.aborted && this.#options.gate.isOpen && hasRoom;
    try {
      if (outcome.end === 'completed') return await taken.complete(outcome.result, fetchNext);
      if (outcome.end === 'failed') return await taken.fail(outcome.error, outcome.retry, fetchNext);
      if (outcome.end === 'released') await taken.release();
    } catch (error) {
      if (!(error instanceof JobLostError)) throw error;
      // The lock may only have expired while Redis was away: then it is ours again, and the end is told once more.
      const { scripts, source } = this.#options;
      const [answer] = await scripts.renewLocks([taken], source.options.lockMs);
      if (answer !== 'lost' && !signal.aborted) throw error;
      this.#options.log.warn(`${taken.publicId}: its end was told already, or is somebody else's to tell`);
    }
    return undefined;
  }

  /** Tries until it is done or the worker is to end. */
  async #untilDone<T>(problem: string, work: () => Promise<T>): Promise<T | undefined> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        await this.#pause(problem, error);
        if (this.#stop.signal.aborted && this.running.size === 0) return undefined;
      }
    }
  }

  async #pause(problem: string, error: unknown): Promise<void> {
    this.#options.log.warn(`${this.type}: ${problem}`, { error });
    await this.#options.clock.sleep(retryMs);
  }
}

function attemptOutcome(taken: TakenJob, outcome: JobOutcome & { end: 'completed' | 'failed' }): AttemptOutcome {
  if (outcome.end === 'completed') return 'completed';
  if (outcome.error.code === JobCancelledError.code) return 'cancelled';
  return outcome.retry && !taken.isLastAttempt ? 'retried' : 'failed';
}
