import { randomUUID } from 'node:crypto';
import { abortable, type Clock } from '../clock.ts';
import { UnkillableError } from '../errors/core-errors.ts';
import type { MgpuError } from '../errors/mgpu-error.ts';
import type { Probes } from '../probe/probe.ts';
import type { ProcessExit } from '../process/spawn.ts';
import type { Health, HealthClaim } from './types.ts';

/** How a run came to its end. */
export type RunEnd =
  | { readonly state: 'stopped' | 'completed' }
  | { readonly state: 'failed'; readonly error: MgpuError };

/** Releases something; is told how the run ended. */
export type Cleanup = (end: RunEnd) => unknown;

export interface DeferOptions {
  /**
   * Milliseconds the release may take, at most 15,000 once somebody forces; what takes longer is left behind and told as
   * `CORE_STOP_INCOMPLETE`. Default 30,000.
   */
  readonly timeoutMs?: number;
}

/** One life of an instance between start and stop, as a service sees it. */
export interface Run {
  /** UUID; every process of the run carries it in `MGPU_RUN`. */
  readonly id: string;
  /** The run of a former daemon goes on: its process is there, and what belongs to it must be left as it is. */
  readonly isAdopted: boolean;
  /** Fires when the run is to end: stopped, cancelled or failed. */
  readonly signal: AbortSignal;
  /** Fires when whoever stops it lost patience. */
  readonly force: AbortSignal;
  /** Registers the release of what was just acquired. Last in, first out; at once when the run has ended already. */
  defer(cleanup: Cleanup, options?: DeferOptions): void;
  /** The run died: everything is released, the state becomes failed. */
  fail(error: MgpuError): void;
  /** A run that is meant to end did so: everything is released, the state becomes completed. */
  complete(): void;
  /** Says how it fares. Shown while it runs; where the readiness probe sees worse, that is shown. */
  setHealth(health: Health, reason?: string): void;
  /** Reports the end of the run's process. */
  reportExit(exit: ProcessExit): void;
}

export interface RunHooks {
  readonly onEnd: (end: RunEnd) => void;
  /** What the service says of itself, or its probe of it, has changed. */
  readonly onHealth: () => void;
  readonly onExit: (exit: ProcessExit) => void;
  /** Something that nobody waits for any more went wrong. */
  readonly onLateProblem: (error: unknown) => void;
}

interface Release {
  readonly cleanup: Cleanup;
  readonly timeoutMs: number;
}

/** Milliseconds for a release that is forced: longer than SIGKILL gets before a process counts as unkillable. */
const forcedMs = 15_000;

/** The scope of a run: what it acquired and how it is released. Only the first end counts. */
export class RunScope implements Run {
  #id: string = randomUUID();
  #startedAt: number;
  #startedOn: number;
  #isAdopted = false;
  #wasReady = false;
  /** Asked for once, so that a probe can remember what it saw of this run. */
  probes: Probes = {};
  /** When the latest try of its readiness probe that said yes began: monotonic milliseconds. */
  readyAt: number | undefined;
  readonly #clock: Clock;
  readonly #abort = new AbortController();
  readonly #force = new AbortController();
  readonly #hooks: RunHooks;
  #said: HealthClaim | undefined;
  #probed: HealthClaim | undefined;
  #proved: HealthClaim | undefined;
  #releases: Release[] = [];
  #problems: unknown[] = [];
  #unwoundBy: RunEnd | undefined;
  end: RunEnd | undefined;
  /** Its start acquires nothing any more. */
  hasLaunched = false;

  constructor(clock: Clock, hooks: RunHooks) {
    this.#clock = clock;
    this.#startedAt = clock.elapsed();
    this.#startedOn = clock.now();
    this.#hooks = hooks;
  }

  get id(): string {
    return this.#id;
  }

  /** Monotonic milliseconds. */
  get startedAt(): number {
    return this.#startedAt;
  }

  /** Milliseconds since the epoch. */
  get startedOn(): number {
    return this.#startedOn;
  }

  get isAdopted(): boolean {
    return this.#isAdopted;
  }

  /** It is adopted, and had been ready before: it need not prove that again. */
  get wasReady(): boolean {
    return this.#wasReady;
  }

  /** Goes on with a run that was begun by somebody who is dead. */
  adopt({ id, startedAt, wasReady }: { id: string; startedAt: number; wasReady: boolean }): void {
    this.#id = id;
    this.#startedAt = startedAt;
    this.#startedOn = this.#clock.now() - (this.#clock.elapsed() - startedAt);
    this.#isAdopted = true;
    this.#wasReady = wasReady;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get force(): AbortSignal {
    return this.#force.signal;
  }

  /** What the service says of itself. */
  get said(): HealthClaim | undefined {
    return this.#said;
  }

  /** What its probe says of it. */
  get probed(): HealthClaim | undefined {
    return this.#probed;
  }

  set probed(claim: HealthClaim) {
    if (this.end) return;
    this.#probed = claim;
    this.#hooks.onHealth();
  }

  /** What its latest verification says of it. */
  get proved(): HealthClaim | undefined {
    return this.#proved;
  }

  set proved(claim: HealthClaim) {
    if (this.end) return;
    this.#proved = claim;
    this.#hooks.onHealth();
  }

  /** Whether everything was released. */
  get isUnwound(): boolean {
    return this.#unwoundBy !== undefined;
  }

  defer(cleanup: Cleanup, { timeoutMs = 30_000 }: DeferOptions = {}): void {
    const end = this.#unwoundBy;
    if (end) void Promise.resolve(end).then(cleanup).catch(this.#hooks.onLateProblem);
    else this.#releases.push({ cleanup, timeoutMs });
  }

  fail(error: MgpuError): void {
    this.finish({ state: 'failed', error }, error);
  }

  complete(): void {
    this.finish({ state: 'completed' }, new Error('completed'));
  }

  setHealth(health: Health, reason?: string): void {
    if (this.end) return;
    this.#said = { health, ...(reason === undefined ? {} : { reason }) };
    this.#hooks.onHealth();
  }

  reportExit(exit: ProcessExit): void {
    this.#hooks.onExit(exit);
  }

  hurry(): void {
    this.#force.abort();
  }

  finish(end: RunEnd, reason: unknown): void {
    if (this.end) return;
    this.end = end;
    this.#abort.abort(reason);
    this.#hooks.onEnd(end);
  }

  /**
   * Releases everything; returns what went wrong doing so. Throws `CORE_PROCESS_UNKILLABLE` and leaves what was acquired
   * before a process that does not die: that may still use it. Asked again, it goes on from there.
   */
  async unwind(end: RunEnd): Promise<readonly unknown[]> {
    for (let release = this.#releases.pop(); release; release = this.#releases.pop()) {
      try {
        await this.#release(release, end);
      } catch (error) {
        if (error instanceof UnkillableError) {
          this.#releases.push(release);
          throw error;
        }
        this.#problems.push(error);
      }
    }
    this.#unwoundBy = end;
    return this.#problems;
  }

  async #release({ cleanup, timeoutMs }: Release, end: RunEnd): Promise<void> {
    const result = cleanup(end);
    if (!isThenable(result)) return;
    const work = Promise.resolve(result);
    const done = new AbortController();
    const expired = new AbortController();
    const expire = (ms: number) => () => {
      expired.abort(new Error(`a release took longer than ${ms / 1_000} s`));
      work.catch(this.#hooks.onLateProblem);
    };
    const sleep = (ms: number, signal: AbortSignal) => this.#clock.sleep(ms, { signal }).then(expire(ms));
    sleep(timeoutMs, AbortSignal.any([this.force, done.signal]))
      .catch(() => sleep(Math.min(timeoutMs, forcedMs), done.signal)) // forced, or released
      .catch(() => {}); // released in time
    try {
      await abortable(work, expired.signal);
    } finally {
      done.abort();
    }
  }
}

const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof (value as { then?: unknown } | null | undefined)?.then === 'function';
