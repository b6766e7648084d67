import { abortable, deadline } from '../clock.ts';
import { Emitter } from '../emitter.ts';
import { StartAbortedError, StopIncompleteError, VerificationFailedError } from '../errors/core-errors.ts';
import { type MgpuError, reportError, toMgpuError } from '../errors/mgpu-error.ts';
import { type Gpu, gpuIndex } from '../gpu/gpu.ts';
import type { WorkTotals } from '../jobs/work-totals.ts';
import { redact } from '../logs/redact.ts';
import type { LivenessProbe, ProbeContext, ProbeOutcome, Probes } from '../probe/probe.ts';
import { tryProbe } from '../probe/try-probe.ts';
import { waitUntilReady } from '../probe/wait-until-ready.ts';
import { watchReadiness } from '../probe/watch-readiness.ts';
import type { Observation } from '../supervision/supervisor.ts';
import { askHealth } from './ask-health.ts';
import type { ServiceContext } from './context.ts';
import { type Run, type RunEnd, RunScope } from './run.ts';
import type {
  Endpoint,
  HealthClaim,
  HealthReport,
  LastExit,
  ServiceEvents,
  ServiceState,
  ServiceStatus,
  StartOptions,
  StopOptions,
} from './types.ts';
import { worstOf } from './worst-of.ts';

/** Milliseconds a stop waits for an `onStart` that does not heed its signal; after that it is left to itself. */
const letGoMs = 5_000;
/** Milliseconds that a verification may take. */
const verificationMs = 120_000;

interface PendingStart {
  readonly done: Promise<void>;
  isCalledOff: boolean;
  run?: RunScope;
}

/**
 * One instance of a service. The life of a run:
 *
 * 1. `start()`: state starting; `onStart` acquires, registering each release with `run.defer`; the startup probe is
 *    asked until it says yes; state running.
 * 2. While running the readiness probe moves `health`; it never ends the run.
 * 3. The run ends by `stop()`, by `run.fail` or by `run.complete`; everything acquired is released in reverse order;
 *    only then the state is stopped, failed or completed.
 *
 * A constructor only assigns. All state of a run lives in the run.
 */
export abstract class BaseService<C extends object, E extends ServiceEvents = ServiceEvents>
  implements AsyncDisposable
{
  protected readonly config: Readonly<C>;
  protected readonly context: ServiceContext;
  readonly #events: Emitter<E>;
  #state: ServiceState = 'stopped';
  /** Why it is in this state. */
  #reason: ServiceStatus['reason'];
  #health: HealthClaim = { health: 'unknown' };
  /** When the state or the health changed last. */
  #since: number;
  #run: RunScope | undefined;
  #starting: PendingStart | undefined;
  #ending: Promise<void> | undefined;
  /** How often somebody asked for a stop. */
  #stops = 0;
  #lastExit: LastExit | undefined;

  constructor(config: Readonly<C>, context: ServiceContext) {
    this.config = config;
    this.context = context;
    this.#since = context.clock.now();
    this.#events = new Emitter((event, error) =>
      context.log.error(`a listener of ${context.id}'s ${event} failed`, { error }),
    );
  }

  get id(): string {
    return this.context.id;
  }

  get kind(): string {
    return this.context.kind;
  }

  /** The GPU it runs on, once that is known. */
  get gpu(): Gpu | undefined {
    return typeof this.context.gpu === 'object' ? this.context.gpu : undefined;
  }

  /** Where it can be reached, known before it runs. */
  get endpoint(): Endpoint | undefined {
    return undefined;
  }

  get status(): ServiceStatus {
    const { endpoint } = this;
    const gpu = gpuIndex(this.gpu ?? this.context.gpu);
    const { health, reason: worry } = this.#health;
    const reason = this.#reason ?? (worry === undefined ? undefined : { message: worry });
    return {
      id: this.id,
      kind: this.kind,
      ...(gpu === undefined ? {} : { gpu }),
      state: this.#state,
      health,
      ...(reason === undefined ? {} : { reason }),
      since: new Date(this.#since).toISOString(),
      ...(this.#run === undefined ? {} : { run: this.#run.id, startedAt: new Date(this.#run.startedOn).toISOString() }),
      ...(endpoint?.url.port ? { port: Number(endpoint.url.port) } : {}),
      ...(endpoint === undefined ? {} : { endpoint: redact(endpoint.url.href) }),
      ...(this.#lastExit === undefined ? {} : { lastExit: this.#lastExit }),
    };
  }

  /** Resolves when ready (or completed); callers at the same time share one start. Rejects with the reason of failure. */
  start({ signal }: StartOptions = {}): Promise<void> {
    if (this.#starting && !this.#starting.isCalledOff) return this.#join(this.#starting.done, signal);
    // There before the first event of the start: whoever asks again while hearing that shares it, too.
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const pending: PendingStart = { isCalledOff: false, done: promise };
    this.#starting = pending;
    this.#start(pending, signal)
      .finally(() => {
        if (this.#starting === pending) this.#starting = undefined;
      })
      .then(resolve, reject);
    return promise;
  }

  /** Resolves when nothing of the run is left. Idempotent; callers at the same time share one stop. */
  stop(options: StopOptions = {}): Promise<void> {
    this.#stops += 1;
    return this.#halt(options);
  }

  /** Stop and start. A stop that is asked for meanwhile has the last word: `CORE_START_ABORTED`. */
  async restart({ signal, ...options }: StopOptions & StartOptions = {}): Promise<void> {
    const stops = this.#stops;
    await this.#halt(options).catch((error: unknown) => {
      // It is logged, and no reason to stay down.
      if (!(error instanceof StopIncompleteError)) throw error;
    });
    if (stops !== this.#stops || signal?.aborted) throw new StartAbortedError({ instance: this.id });
    await this.start(signal ? { signal } : {});
  }

  /** Asks now: the readiness probe (or the startup probe) gets one try. */
  async health({ signal }: { signal?: AbortSignal } = {}): Promise<HealthReport> {
    const { clock } = this.context;
    const checked = (claim: HealthClaim) => ({ ...claim, checkedAt: new Date(clock.now()).toISOString() });
    const run = this.#run;
    if (!run || this.#state !== 'running') {
      return checked({ health: 'unknown', reason: this.#reason?.message ?? this.#state });
    }
    const answer = await askHealth(run.probes, { clock, signal, log: this.logOfRun() });
    // That it answers does not mean that everything it uses does.
    return checked(answer ? worstOf(answer, run.said, run.proved) : this.#health);
  }

  /** Whether `verify` has anything to prove. */
  get isVerifiable(): boolean {
    return this.onVerify !== undefined;
  }

  /**
   * Proves by use that it does its work; at once where it knows no way. When that fails or takes longer than two minutes, its
   * health is degraded until it is verified again or its run is over. False when it is too busy with the work of others to say.
   * Throws `CORE_VERIFICATION_FAILED`, and the signal's reason.
   */
  async verify({ signal }: { signal?: AbortSignal } = {}): Promise<boolean> {
    const run = this.#run;
    if (!run || this.#state !== 'running') {
      throw new VerificationFailedError({ instance: this.id, problem: `it is ${this.#state}` });
    }
    const either = signal ? AbortSignal.any([signal, run.signal]) : run.signal;
    const late = () => new Error(`it took longer than ${verificationMs / 1_000} s`);
    using limit = deadline(this.context.clock, verificationMs, late, either);
    try {
      const isProved = await abortable(this.onVerify?.(limit) ?? Promise.resolve(true), limit.signal);
      if (isProved) run.proved = { health: 'ready' };
      return isProved;
    } catch (cause) {
      signal?.throwIfAborted();
      const problem = run.signal.aborted ? 'its run ended meanwhile' : reportError(cause).message;
      const error = new VerificationFailedError({ instance: this.id, problem }, { cause });
      run.proved = { health: 'degraded', reason: error.message };
      throw error;
    }
  }

  /** The file that gets everything its process prints; undefined without a process. */
  get logFile(): string | undefined {
    return undefined;
  }

  /** Whether there is a process of a dead daemon that a start would go on with. */
  hasOrphan(): boolean {
    return false;
  }

  /** The liveness probe of the present run; undefined without one, or while it does not run. */
  get liveness(): LivenessProbe | undefined {
    return this.#state === 'running' ? this.#run?.probes.liveness : undefined;
  }

  /** When the readiness probe of the present run was last answered with yes (monotonic milliseconds), if ever. */
  get readyAt(): number | undefined {
    return this.#run?.readyAt;
  }

  /** One try of the liveness probe; `unknown` without one. */
  async askAlive({ timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal }): Promise<ProbeOutcome> {
    const { liveness } = this;
    if (!liveness) return { outcome: 'unknown', reason: `${this.id} has no liveness probe, or does not run` };
    return await tryProbe(liveness.probe, { timeoutMs, signal, clock: this.context.clock, log: this.logOfRun() });
  }

  /** Ends the present run as failed with this error; false when there is none, or it ends already. */
  fail(error: MgpuError): boolean {
    const run = this.#run;
    if (!run || run.end) return false;
    run.fail(error);
    return true;
  }

  /** What it knows of other instances. Default: nothing. */
  observations(): readonly Observation[] {
    return [];
  }

  /** What became of the work it has passed on to other instances. Default: it passes on none. */
  workTotals(): WorkTotals | undefined {
    return undefined;
  }

  /** Frees what memory it can while it runs; false when it knows no way. Default: it knows none. */
  async relieve(_options: { signal?: AbortSignal } = {}): Promise<boolean> {
    return false;
  }

  /** Returns the function that unsubscribes. A listener that throws harms nobody. */
  on<K extends keyof E & string>(event: K, listener: (payload: E[K]) => unknown): () => void {
    return this.#events.on(event, listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Acquires what the run needs. Each acquisition registers its release on the next line. */
  protected abstract onStart(run: Run): Promise<void>;

  /** It is ready for the first time. */
  protected onRunning?(run: Run): void;

  /**
   * Uses it as whoever has work for it would, at little cost: true when that went well, false when it is too busy with the work
   * of others to say. Rejects with what is wrong with it.
   */
  protected onVerify?(options: { signal: AbortSignal }): Promise<boolean>;

  /** How to tell that it is ready, stays ready, and is alive. */
  protected probes?(): Probes;

  /** Where the output of the present run begins, for probes that read it. */
  protected logOfRun(): ProbeContext['log'] {
    return undefined;
  }

  /** The present run is the continuation of one that somebody began who is dead. */
  protected adoptRun(former: { id: string; startedAt: number; wasReady: boolean }): void {
    this.#run?.adopt(former);
  }

  protected emit<K extends keyof E & string>(event: K, payload: E[K]): void {
    this.#events.emit(event, payload);
  }

  /** The start of others goes on when whoever joined it loses interest. */
  async #join(done: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
    try {
      await abortable(done, signal);
    } catch (error) {
      throw signal?.aborted ? new StartAbortedError({ instance: this.id }) : error;
    }
  }

  async #start(pending: PendingStart, signal: AbortSignal | undefined): Promise<void> {
    if (this.#state === 'running') return;
    if (this.#run) {
      if (this.#state === 'unkillable') this.#releaseAgain(this.#run);
      // What a former end could not release is that stop's to tell; what it could not kill must not be started over.
      await this.#ending?.catch(() => {});
      if (this.#state === 'unkillable') await this.#ending;
      if (pending.isCalledOff) throw new StartAbortedError({ instance: this.id });
    }
    const launched = Promise.withResolvers<void>();
    const run = new RunScope(this.context.clock, {
      onEnd: (end) => this.#setEnding(this.#end(run, end, launched.promise)),
      onHealth: () => this.#showHealth(run),
      onExit: (exit) => this.#recordExit(run, exit),
      onLateProblem: (error) => this.context.log.error(`${this.id}: a late release failed`, { error }),
    });
    this.#run = run;
    pending.run = run;
    this.#become('starting');
    const cancel = () => {
      pending.isCalledOff = true;
      run.finish({ state: 'stopped' }, new StartAbortedError({ instance: this.id }));
    };
    signal?.addEventListener('abort', cancel, { once: true });
    if (signal?.aborted) cancel();
    try {
      const launch = this.#launch(run);
      const over = () => {
        run.hasLaunched = true;
        launched.resolve();
      };
      launch.then(over, (error: unknown) => {
        over();
        if (run.isUnwound) this.context.log.warn(`${this.id}: its abandoned start failed`, { error });
      });
      await abortable(launch, run.signal);
      if (!run.end) this.#becomeRunning(run);
    } catch (error) {
      if (!run.end) run.fail(toMgpuError(error, `${this.id}: the start failed`));
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
    const { end } = run;
    if (!end) return;
    await this.#ending;
    if (end.state === 'failed') throw end.error;
    if (end.state === 'stopped') throw new StartAbortedError({ instance: this.id });
  }

  async #launch(run: RunScope): Promise<void> {
    run.signal.throwIfAborted();
    await this.onStart(run);
    run.probes = this.probes?.() ?? {};
    const { startup, readiness } = run.probes;
    const options = { clock: this.context.clock, signal: run.signal, log: this.logOfRun() };
    if (startup && !run.end && !run.wasReady) await waitUntilReady(startup, { instance: this.id, ...options });
    if (run.end) return;
    // Started is not ready where the two are asked differently: nobody is told more than is known.
    const answer = readiness && (await askHealth({ readiness }, options));
    if (answer && answer.health !== 'unknown') run.probed = answer;
    else if ((startup && !run.wasReady) || !readiness) run.probed = { health: 'ready' };
  }

  #becomeRunning(run: RunScope): void {
    this.#become('running', undefined, run.isAdopted ? run.startedAt : undefined);
    this.onRunning?.(run);
    const { readiness } = run.probes;
    if (!readiness || run.end) return;
    void watchReadiness(readiness, {
      clock: this.context.clock,
      signal: run.signal,
      initially: run.probed?.health === 'ready' ? 'ready' : 'unknown',
      log: this.logOfRun(),
      onChange: (change) => {
        run.probed = change;
      },
      onYes: (began) => {
        run.readyAt = began;
      },
    });
  }

  async #halt({ force = false }: StopOptions): Promise<void> {
    const run = this.#run;
    if (this.#starting) this.#starting.isCalledOff = true;
    if (force) run?.hurry();
    if (run) {
      if (this.#state === 'unkillable') this.#releaseAgain(run);
      run.finish({ state: 'stopped' }, new StartAbortedError({ instance: this.id }));
      await this.#ending;
    }
    if (!this.#run && (this.#state === 'failed' || this.#state === 'completed')) this.#become('stopped');
  }

  async #end(run: RunScope, end: RunEnd, launched: Promise<void>): Promise<void> {
    const reason = end.state === 'failed' ? reportError(end.error) : undefined;
    this.#become(end.state === 'stopped' ? 'stopping' : 'cleaning', reason);
    if (!run.hasLaunched) await this.#letGo(launched);
    await this.#release(run, end, reason);
  }

  /** What could not be killed may have ended meanwhile. */
  #releaseAgain(run: RunScope): void {
    this.#become('stopping');
    this.#setEnding(this.#release(run, { state: 'stopped' }));
  }

  async #release(run: RunScope, end: RunEnd, reason?: ServiceStatus['reason']): Promise<void> {
    // Whoever hears of the end may start it again.
    const forgetStart = () => {
      if (this.#starting?.run === run) this.#starting = undefined;
    };
    let problems: readonly unknown[];
    try {
      problems = await run.unwind(end);
    } catch (stuck) {
      forgetStart();
      this.#become('unkillable', reportError(stuck));
      throw stuck;
    }
    this.#run = undefined;
    forgetStart();
    this.#become(end.state, reason);
    if (problems.length === 0) return;
    const texts = problems.map((each) => reportError(each).message);
    const cause = new AggregateError(problems, 'clean-up failed');
    const error = new StopIncompleteError({ instance: this.id, problems: texts }, { cause });
    this.context.log.error(error.message, { error });
    if (end.state === 'stopped') throw error;
  }

  #setEnding(ending: Promise<void>): void {
    this.#ending = ending;
    ending.catch(() => {}); // told to whoever waits; the state tells everybody else
  }

  /** `onStart` has been told by its signal: what it still acquires is released with the rest, if it heeds that. */
  async #letGo(launched: Promise<void>): Promise<void> {
    const { clock } = this.context;
    const gone = new AbortController();
    const patience = clock.sleep(letGoMs, { signal: gone.signal }).then(
      () => this.context.log.warn(`${this.id}: its start does not heed the signal`),
      () => {}, // it has let go
    );
    await Promise.race([launched, patience]);
    gone.abort();
  }

  /** `from`: since when, in monotonic milliseconds, where that is not now. */
  #become(state: ServiceState, reason?: ServiceStatus['reason'], from?: number): void {
    const { clock } = this.context;
    this.#state = state;
    this.#reason = reason;
    this.#health = this.#healthOf(this.#run);
    this.#since = clock.now() - (from === undefined ? 0 : clock.elapsed() - from);
    this.#publish('status', this.status);
  }

  #showHealth(run: RunScope): void {
    const former = this.#health;
    this.#health = this.#healthOf(run);
    if (this.#health.health !== former.health) this.#since = this.context.clock.now();
    else if (this.#health.reason === former.reason) return;
    this.#publish('status', this.status);
  }

  /** Nobody is told of health before it runs. */
  #healthOf(run: RunScope | undefined): HealthClaim {
    return this.#state === 'running' ? worstOf(run?.said, run?.probed, run?.proved) : { health: 'unknown' };
  }

  #recordExit(run: RunScope, exit: { code: number | null; signal: NodeJS.Signals | null }): void {
    const at = new Date(this.context.clock.now()).toISOString();
    this.#lastExit = { ...exit, at, run: run.id, uptimeMs: Math.round(this.context.clock.elapsed() - run.startedAt) };
    this.#publish('exit', this.#lastExit);
  }

  /** The events of every service are among those of this one, which the compiler cannot know of its type parameter. */
  #publish<K extends keyof ServiceEvents>(event: K, payload: ServiceEvents[K]): void {
    (this as BaseService<C>).#events.emit(event, payload);
  }
}
