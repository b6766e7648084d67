import { abortable, type Clock } from '../clock.ts';
import { findProgram } from '../process/find-program.ts';
import { runCommand } from '../process/run-command.ts';
import { Breaker, type OpenPeriod } from './health/breaker.ts';
import { type HealthColumn, healthColumns } from './health/health-fields.ts';
import { type ComputeApp, type GpuHealth, parseApps, parseHealth, parseRemaps } from './health/parse.ts';
import { type GpuProblem, problemIn, problemOf } from './health/problem.ts';

/** The GPUs at a moment, as far as nvidia-smi could tell. */
export interface GpuHealthSample {
  /** Monotonic milliseconds. */
  readonly at: number;
  /** Those that answered. Complete only where there is no problem. */
  readonly gpus: readonly GpuHealth[];
  /** Undefined when they could not be listed. */
  readonly apps: readonly ComputeApp[] | undefined;
  readonly problem?: GpuProblem;
  /** When nvidia-smi did not answer, oldest first; the last has no end while it does not. */
  readonly hangs: readonly OpenPeriod[];
}

export interface GpuMonitorOptions {
  readonly clock: Clock;
  /** The environment it inherits, and where it is looked up. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Default `nvidia-smi` from PATH. */
  readonly program?: string | undefined;
  /** Milliseconds before it is killed. Default 5,000. */
  readonly timeoutMs?: number | undefined;
}

export interface GpuSampleOptions {
  /** Milliseconds for which a sample is young enough. Default 0: a new one. */
  readonly maxAgeMs?: number;
  /** Ends the waiting; the question, too, when nobody else waits for its answer. */
  readonly signal?: AbortSignal | undefined;
}

const appColumns = 'gpu_uuid,pid,process_name,used_memory';
const remapColumns = 'gpu_uuid,remapped_rows.pending,remapped_rows.failure';
const csv = '--format=csv,noheader,nounits';

interface Answer {
  readonly text: string;
  readonly problem?: GpuProblem;
}

type Ask = (...args: string[]) => Promise<Answer>;

/** A question under way, and how many wait for its answer. */
interface Question {
  readonly answer: Promise<GpuHealthSample | undefined>;
  readonly cancel: AbortController;
  waiting: number;
}

/**
 * Asks nvidia-smi how the GPUs are: once for everybody who wants to know. One helper at a time, killed when it does not
 * answer; after that a pause, and no new one while an abandoned one lives. It asks only when it is asked.
 */
export class GpuMonitor {
  readonly #options: GpuMonitorOptions;
  readonly #breaker = new Breaker();
  #columns: readonly HealthColumn[] | undefined;
  /** Older drivers have remapped rows as a table of their own, the oldest none. */
  #hasRemapTable = true;
  #question: Question | undefined;
  #latest: GpuHealthSample | undefined;

  constructor(options: GpuMonitorOptions) {
    this.#options = options;
  }

  /** The last sample, however old; undefined before the first, and without nvidia-smi. */
  get latest(): GpuHealthSample | undefined {
    return this.#latest;
  }

  /**
   * A sample; who asks while one is taken gets the same. Undefined when nvidia-smi is not installed. Rejects with the
   * signal's reason, and with nothing else.
   */
  async sample({ maxAgeMs = 0, signal }: GpuSampleOptions = {}): Promise<GpuHealthSample | undefined> {
    signal?.throwIfAborted();
    const latest = this.#latest;
    if (latest && this.#options.clock.elapsed() - latest.at < maxAgeMs) return latest;
    this.#question ??= this.#ask();
    const question = this.#question;
    question.waiting += 1;
    try {
      return await abortable(question.answer, signal);
    } finally {
      question.waiting -= 1;
      if (question.waiting === 0) {
        question.cancel.abort(signal?.reason);
        if (this.#question === question) this.#question = undefined;
      }
    }
  }

  /** Asks nothing for `ms`: after some faults every query of any GPU may hang. */
  pause(ms: number): void {
    this.#breaker.pause(this.#options.clock.elapsed(), ms);
  }

  /** Milliseconds until the next question, for one who asks every `ms`: sooner while it hangs, to learn for how long it does. */
  nextIn(ms: number): number {
    return this.#breaker.nextIn(ms);
  }

  #ask(): Question {
    const cancel = new AbortController();
    const answer = this.#sample(cancel.signal).then((sample) => {
      this.#latest = sample;
      return sample;
    });
    return { answer, cancel, waiting: 0 };
  }

  async #sample(signal: AbortSignal): Promise<GpuHealthSample | undefined> {
    const { clock, env, program = 'nvidia-smi' } = this.#options;
    const file = await findProgram([program], env);
    if (file === undefined) return undefined;
    const at = clock.elapsed();
    const ask = (...args: string[]) => this.#run(file, args, signal);
    const failed = (problem: GpuProblem) => ({ at, gpus: [], apps: undefined, problem, hangs: this.#breaker.periods });
    const help = this.#columns ? undefined : await ask('--help-query-gpu');
    if (help?.problem?.kind === 'hung') return failed(help.problem);
    // A driver that could not be talked to may tell its columns another time.
    if (help && !help.problem) this.#columns = healthColumns(help.text);
    const columns = this.#columns ?? healthColumns('');
    const { text, problem } = await ask(`--query-gpu=${columns.map(({ name }) => name).join(',')}`, csv);
    const { gpus, odd } = parseHealth(text, columns);
    const worst = problem ?? (odd.length > 0 ? problemIn(odd.join('\n')) : undefined);
    if (gpus.length === 0) return failed(worst ?? { kind: 'no-devices', text: 'nvidia-smi lists no GPU' });
    const remaps = columns.some(({ field }) => field === 'remapPending') ? undefined : await this.#remaps(ask);
    const apps = await ask(`--query-compute-apps=${appColumns}`, csv);
    const any = worst ?? apps.problem;
    return {
      at,
      gpus: gpus.map((gpu) => ({ ...gpu, ...remaps?.get(gpu.uuid) })),
      apps: apps.problem ? undefined : parseApps(apps.text),
      hangs: this.#breaker.periods,
      ...(any ? { problem: any } : {}),
    };
  }

  async #remaps(ask: Ask): Promise<ReturnType<typeof parseRemaps> | undefined> {
    if (!this.#hasRemapTable) return undefined;
    const { text, problem } = await ask(`--query-remapped-rows=${remapColumns}`, csv);
    if (!problem) return parseRemaps(text);
    if (problem.kind === 'failed') this.#hasRemapTable = false;
    return undefined;
  }

  async #run(file: string, args: readonly string[], signal: AbortSignal): Promise<Answer> {
    const { clock, env, timeoutMs = 5_000 } = this.#options;
    const started = clock.elapsed();
    const refusal = this.#breaker.refusal(started);
    if (refusal !== undefined) return { text: '', problem: { kind: 'not-asked', text: refusal } };
    const result = await runCommand(file, args, { timeoutMs, env, signal });
    signal.throwIfAborted();
    if (result.timedOut) this.#breaker.hung(started, clock.elapsed(), result.gone);
    else this.#breaker.answered(clock.elapsed());
    const problem = problemOf(result);
    return { text: result.stdout, ...(problem ? { problem } : {}) };
  }
}
