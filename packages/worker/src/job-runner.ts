import {
  type Artifact,
  abortable,
  type Clock,
  type Connector,
  type ConnectorBinding,
  type ConnectorIo,
  type ConnectorJob,
  type ConnectorResult,
  cudaFault,
  deadline,
  type ErrorReport,
  faultOf,
  JobHandoverError,
  type JobPreview,
  type JobProgress,
  type JobResult,
  type Logger,
  type MgpuError,
  problemsOf,
  reportError,
  toMgpuError,
} from '@mgpu/core/jobs';
import { ArtifactStore } from './artifact-store.ts';
import type { EngineGate } from './engine-gate.ts';
import {
  JobCancelledError,
  JobInvalidError,
  JobLostError,
  JobQuarantinedError,
  JobTimeoutError,
  OutputTooLargeError,
} from './errors.ts';
import { bytesOf, jobDataSchema, maxBytes } from './job-data.ts';
import type { JobScripts, JobState } from './job-scripts.ts';
import { LatestSender } from './latest-sender.ts';
import type { TakenJob } from './queue.ts';
import type { RunningJob } from './running-job.ts';
import type { Tally } from './tally.ts';

export interface JobRunnerOptions {
  readonly binding: ConnectorBinding;
  readonly connector: Connector;
  readonly gate: EngineGate;
  readonly tally: Tally;
  readonly scripts: JobScripts;
  /** Id of this machine. */
  readonly machine: string;
  readonly artifactsDir: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether news can be sent at the moment. */
  readonly isConnected: () => boolean;
  readonly publishPreview: (jobId: string, preview: JobPreview) => Promise<unknown>;
  /** The job that has been in the engine longest: the one it is working on. */
  readonly oldest: () => RunningJob | undefined;
}

/** What is to become of a job after an attempt. */
export type JobOutcome =
  | { readonly end: 'completed'; readonly result: JobResult }
  | { readonly end: 'failed'; readonly error: ErrorReport; readonly retry: boolean }
  /** Back to the queue, nothing counted. */
  | { readonly end: 'released' }
  /** Not ours any more, or left for our successor: nothing is written. */
  | { readonly end: 'abandoned' };

const newsMs = 100;
const obeyMs = 10_000;
const maxVictims = 2;
/** A job over which its worker died this often takes its workers down. */
const maxDeaths = 20;

/** Takes jobs of one type through one engine. */
export class JobRunner {
  readonly #options: JobRunnerOptions;

  constructor(options: JobRunnerOptions) {
    this.#options = options;
  }

  /** Rejects when it is not known how the attempt ended: then the job is left to be recovered. */
  async run(running: RunningJob): Promise<JobOutcome> {
    const { scripts, clock } = this.#options;
    const { taken } = running;
    const job = taken.publicId;
    const request = jobDataSchema.safeParse(taken.data);
    if (!request.success) return refused(new JobInvalidError({ job, problems: problemsOf(request.error, 'job') }));
    const { input, timeoutMs } = request.data;
    const known = taken.isFresh ? { cancelled: false } : await scripts.readState(taken.id);
    const state: JobState = known.state ?? { v: 1, startedAt: taken.takenAt };
    if (known.cancelled) running.abort(new JobCancelledError({ job }));
    // Redis counts a worker that stopped like one that died.
    const deaths = taken.deaths - (state.handovers ?? 0);
    if (deaths >= maxDeaths) return refused(new JobQuarantinedError({ job, victims: [`its worker ${deaths} times`] }));
    if (timeoutMs === undefined) return this.#attempt(running, input, state);
    const leftMs = Math.max(0, state.startedAt + timeoutMs - clock.now());
    const late = new JobTimeoutError({ job, timeoutMs });
    if (leftMs === 0) running.abort(late);
    using limit = deadline(clock, leftMs, () => late);
    limit.signal.addEventListener('abort', () => running.abort(late), { once: true });
    return await this.#attempt(running, input, state);
  }

  async #attempt(running: RunningJob, input: unknown, state: JobState): Promise<JobOutcome> {
    const { gate, clock, log } = this.#options;
    const { taken, signal } = running;
    const { id, publicId: job, attempt } = taken;
    const saved = { state };
    const store = new ArtifactStore(this.#options.artifactsDir, job);
    const artifacts: Promise<Artifact>[] = [];
    const over = new AbortController();
    const copying = AbortSignal.any([signal, over.signal]);
    const progress = new LatestSender<JobProgress>(clock, newsMs, async (value) => {
      if (this.#options.isConnected()) await taken.progress(value);
    });
    const preview = new LatestSender<JobPreview>(clock, newsMs, async (value) => {
      if (this.#options.isConnected()) await this.#options.publishPreview(job, value);
    });
    const io: ConnectorIo = {
      signal,
      log: log.child({ job }),
      progress: (value) => {
        running.report(value, clock.now());
        progress.push(value);
      },
      preview: (value) => preview.push(value),
      checkpoint: async (checkpoint) => {
        saved.state = { ...saved.state, checkpoint };
        await abortable(this.#options.scripts.saveState(id, taken.token, saved.state), signal);
      },
      store: (file) => {
        const stored = store.store(file, copying);
        stored.catch(() => {}); // whoever asked for it hears of it, and so does the result
        artifacts.push(stored);
        return stored;
      },
    };
    try {
      if (!taken.isFresh) await store.clear();
      const given = { id: job, type: taken.type, input, attempt, resumed: state.checkpoint };
      const { output } = await this.#use(given, io, taken.submittedAt);
      signal.throwIfAborted();
      const stored = await abortable(Promise.all(artifacts), signal);
      gate.reportSuccess();
      return { end: 'completed', result: this.#result(taken, saved.state, stored, output) };
    } catch (error) {
      // What went on copying would get into the way of the next attempt.
      over.abort(error);
      await Promise.allSettled(artifacts);
      const outcome = await this.#failure(running, saved.state, error);
      if (outcome.end !== 'abandoned') await this.#forget(store, job);
      return outcome;
    } finally {
      progress.end();
      preview.end();
    }
  }

  #result(
    taken: TakenJob,
    { startedAt }: JobState,
    artifacts: readonly Artifact[],
    output: ConnectorResult['output'],
  ): JobResult {
    // An output that is no JSON or too much is the connector's fault, and known here rather than when it is to be kept.
    const bytes = bytesOf(output);
    if (bytes > maxBytes) throw new OutputTooLargeError({ job: taken.publicId, bytes, maxBytes });
    const now = this.#options.clock.now();
    const since = (from: number, to: number) => Math.max(0, Math.round(to - from));
    return {
      v: 1,
      artifacts,
      timings: {
        queuedMs: since(taken.submittedAt, startedAt),
        runMs: since(taken.takenAt, now),
        totalMs: since(taken.submittedAt, now),
      },
      machine: this.#options.machine,
      engine: this.#options.binding.endpoint.instance,
      attempt: taken.attempt,
      ...(output === undefined ? {} : { output }),
    };
  }

  /** A job that others have by now is left alone: they may share the folder. */
  async #forget(store: ArtifactStore, job: string): Promise<void> {
    try {
      await store.clear();
    } catch (error) {
      this.#options.log.warn(`${job}: its artifacts could not be removed`, { error });
    }
  }

  async #use(job: ConnectorJob, io: ConnectorIo, submittedAt: number): Promise<ConnectorResult> {
    const { connector, tally } = this.#options;
    tally.begin(submittedAt);
    try {
      return await this.#obeyed(connector.run(job, io), io.signal);
    } finally {
      tally.end();
    }
  }

  /** A connector that does not heed the signal is not waited for longer than 10 s. */
  async #obeyed(work: Promise<ConnectorResult>, signal: AbortSignal): Promise<ConnectorResult> {
    const done = new AbortController();
    const tooLong = Promise.withResolvers<never>();
    const onAbort = () => {
      this.#options.clock.sleep(obeyMs, { signal: done.signal }).then(
        () => tooLong.reject(signal.reason),
        () => {}, // it heeded
      );
    };
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      return await Promise.race([work, tooLong.promise]);
    } finally {
      done.abort();
      signal.removeEventListener('abort', onAbort);
    }
  }

  async #failure(running: RunningJob, state: JobState, thrown: unknown): Promise<JobOutcome> {
    const { signal, taken } = running;
    const { binding, log } = this.#options;
    const engine = binding.endpoint.instance;
    const job = taken.publicId;
    const error = toMgpuError(signal.aborted ? signal.reason : thrown, `${engine}: job ${job}`);
    if (error instanceof JobLostError || error instanceof JobHandoverError) {
      log.warn(`${job}: ${error.message}`);
      if (error instanceof JobHandoverError) {
        const handovers = (state.handovers ?? 0) + 1;
        await this.#options.scripts.saveState(taken.id, taken.token, { ...state, handovers });
      }
      return { end: 'abandoned' };
    }
    const report = shortReport(error);
    const fault = signal.aborted ? 'permanent' : faultOf(error);
    log.warn(`${job}: attempt ${taken.attempt} failed: ${error.message}`, { error: report, fault });
    if (fault === 'permanent') return { end: 'failed', error: report, retry: false };
    // The next attempt begins anew.
    const { checkpoint: _, ...kept } = state;
    if (fault === 'engine-fault') {
      const { gate, oldest } = this.#options;
      const blamed = gate.reportFault(running.startedAt, oldest()?.taken.publicId ?? job, report);
      // Whatever else was in the engine's queue goes back as it was.
      if (blamed !== job) return { end: 'released' };
      const victims = [...(state.victims ?? []), engine];
      if (victims.length >= maxVictims) {
        const quarantined = new JobQuarantinedError({ job, victims }, { cause: error });
        return { end: 'failed', error: shortReport(quarantined), retry: false };
      }
      await this.#options.scripts.saveState(taken.id, taken.token, { ...kept, victims });
      return { end: 'failed', error: report, retry: true };
    }
    // Whoever watches over the engine can free its memory.
    if (isOutOfMemory(report)) this.#options.gate.reportTrouble(job, report);
    await this.#options.scripts.saveState(taken.id, taken.token, kept);
    return { end: 'failed', error: report, retry: true };
  }
}

const isOutOfMemory = ({ code, message }: ErrorReport) =>
  code.endsWith('_OUT_OF_MEMORY') || cudaFault(message) === 'out-of-memory';

const refused = (error: MgpuError): JobOutcome => ({ end: 'failed', error: reportError(error), retry: false });

/** A report that may go through Redis: without the details and causes of one that is too large. */
function shortReport(error: MgpuError): ErrorReport {
  const report = reportError(error);
  const bytes = bytesOf(report);
  if (bytes <= maxBytes) return report;
  const { cause: _, ...rest } = report;
  return { ...rest, message: rest.message.slice(0, 10_000), details: { omittedBytes: bytes } };
}
