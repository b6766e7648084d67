import type { Clock } from '../clock.ts';
import {
  DependencyFailedError,
  InstanceHeldError,
  StartAbortedError,
  StopIncompleteError,
} from '../errors/core-errors.ts';
import { type ErrorReport, type MgpuError, reportError } from '../errors/mgpu-error.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { WorkTotals } from '../jobs/work-totals.ts';
import type { Logger } from '../logs/logger.ts';
import type { LivenessProbe, ProbeOutcome } from '../probe/probe.ts';
import type { InstanceStatus, ServiceStatus, StartOptions, StopOptions } from '../service/types.ts';
import {
  type Failure,
  type PastFailure,
  pastFailure,
  type RestartDecision,
  type RestartPolicy,
} from '../supervision/restart-policy.ts';
import type { Supervision } from '../supervision/supervision.ts';
import type { Observation, SupervisedInstance } from '../supervision/supervisor.ts';
import { InstanceStateFile, type NextStart } from './instance-state.ts';
import type { Instance } from './instances.ts';
import { RunHistory } from './run-history.ts';

export interface SupervisedOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Folder of process records and states. */
  readonly runDir: string;
  readonly dir: string;
  /** The policy in office; while there is none, failures wait for one. */
  readonly policy: () => RestartPolicy | undefined;
  readonly onChange: (status: InstanceStatus) => void;
  readonly onFailure: (failure: Failure, decision: RestartDecision) => void;
}

/** Why it does not run though it is wanted: something else is not there yet, or it failed. */
type Waiting = { readonly state: 'blocked'; readonly reason?: ErrorReport; readonly until?: never } | NextStart;

const historyLength = 100;

/** What is wanted of one instance, and carrying out the restart policy when it fails against that wish. */
export class Supervised implements SupervisedInstance {
  readonly instance: Instance;
  readonly #options: SupervisedOptions;
  readonly #file: InstanceStateFile;
  readonly #holds = new Map<string, ErrorReport>();
  #desired: 'up' | 'down' = 'down';
  /** Somebody said what is desired: what a daemon before us kept is of no interest any more. */
  #isAsked = false;
  #isRestored = false;
  #hasLetGo = false;
  #attempt = 0;
  #failures: readonly PastFailure[] = [];
  readonly #runs = new RunHistory();
  #waiting: Waiting | undefined;
  /** A failure that no policy has decided about yet. */
  #undecided: Failure | undefined;
  #timer: AbortController | undefined;
  /** Has fired unless it may run: wanted, and not on hold. Firing calls off every start and restart under way. */
  #wanted = new AbortController();

  constructor(instance: Instance, options: SupervisedOptions) {
    this.instance = instance;
    this.#options = options;
    this.#file = new InstanceStateFile(options.runDir, instance.id, options.log);
    instance.service.on('status', (status) => this.#onStatus(status));
    this.#heedWish();
  }

  get id(): string {
    return this.instance.id;
  }

  get kind(): string {
    return this.instance.definition.kind;
  }

  get gpu(): Gpu | undefined {
    return this.instance.gpu;
  }

  get dir(): string {
    return this.#options.dir;
  }

  get logFile(): string | undefined {
    return this.instance.service.logFile;
  }

  /** Whether a process of a dead daemon waits for it to go on. */
  hasOrphan(): boolean {
    return this.instance.service.hasOrphan();
  }

  get supervision(): Supervision {
    return this.instance.definition.supervision ?? {};
  }

  get liveness(): LivenessProbe | undefined {
    return this.instance.service.liveness;
  }

  get readyAt(): number | undefined {
    return this.instance.service.readyAt;
  }

  get status(): InstanceStatus {
    const status = this.instance.service.status;
    const waiting = status.state === 'stopped' || status.state === 'failed' ? this.#shownWaiting() : undefined;
    const { critical } = this.instance.definition;
    return { ...status, ...waiting, critical, desired: this.#desired, attempt: this.#attempt };
  }

  get isWanted(): boolean {
    return this.#desired === 'up';
  }

  /** A dependency's failure keeps it from starting. */
  get isHeldBack(): boolean {
    const { state, reason } = this.status;
    return (
      state === 'blocked' && reason !== undefined && 'code' in reason && reason.code === DependencyFailedError.code
    );
  }

  /** Why it is not to be started though it is wanted: it is on hold, or waits for its next attempt. */
  get obstacle(): ErrorReport | undefined {
    const [hold] = this.#holds.values();
    return hold ?? (this.#waiting?.state === 'blocked' ? undefined : this.#waiting?.reason);
  }

  /** Knows from now on how the daemon before left it. */
  restore(): void {
    const former = this.#file.read();
    if (!former || this.#isAsked) return;
    this.#isRestored = true;
    const { desired, attempt, failures, run, nextStart } = former;
    this.#desired = desired;
    this.#attempt = attempt;
    this.#failures = failures;
    this.#runs.restore(run);
    this.#waiting = nextStart;
    this.#heedWish();
    this.#options.onChange(this.status);
  }

  /** Goes on from there, or as somebody has asked since; false when there is neither. */
  resume(): boolean {
    if (this.#isAsked) return !this.#hasLetGo;
    if (!this.#isRestored) return false;
    this.#resumeWaiting();
    this.#keep();
    this.#options.onChange(this.status);
    return true;
  }

  /** What is due by now takes its turn in the boot. */
  #resumeWaiting(): void {
    const until = this.#waiting?.until;
    if (until === undefined || !this.isWanted) return;
    if (until > this.#options.clock.elapsed()) {
      this.#wakeAt(until);
      return;
    }
    this.#waiting = { state: 'blocked' };
    this.#attempt += 1;
  }

  /** Somebody asks for it: counters begin anew, a pending restart is called off. */
  want(desired: 'up' | 'down'): void {
    this.#want(desired);
    this.#keep();
    this.#options.onChange(this.status);
  }

  /** The machine stops: nothing is wanted any more, and the next daemon begins anew. */
  letGo(): void {
    this.#want('down');
    this.#hasLetGo = true;
    this.#file.remove();
    this.#options.onChange(this.status);
  }

  #want(desired: 'up' | 'down'): void {
    this.#isAsked = true;
    this.#hasLetGo = false;
    this.#timer?.abort();
    this.#timer = undefined;
    this.#desired = desired;
    this.#heedWish();
    this.#attempt = 0;
    this.#failures = [];
    this.#undecided = undefined;
    this.#waiting = desired === 'up' ? { state: 'blocked' } : undefined;
  }

  #heedWish(): void {
    if (!this.isWanted || this.#holds.size > 0) this.#wanted.abort();
    else if (this.#wanted.signal.aborted) this.#wanted = new AbortController();
  }

  /** Starts it as long as it is wanted. A restart that cuts in is joined. Throws `CORE_INSTANCE_HELD`. */
  async start({ signal }: StartOptions = {}): Promise<void> {
    const { service } = this.instance;
    for (;;) {
      this.#expectNoHold();
      try {
        return await service.start({ signal: this.#whileWanted(signal) });
      } catch (error) {
        // What the end it gave way to could not release is in the log, and no reason to stay down.
        const isCutShort = error instanceof StartAbortedError || error instanceof StopIncompleteError;
        const gaveWay = isCutShort && service.status.state !== 'failed';
        if (gaveWay && this.isWanted && !signal?.aborted) continue;
        throw error;
      }
    }
  }

  /** Stops it and starts it again if it still is wanted then. */
  async restart(options: StopOptions = {}): Promise<void> {
    this.#expectNoHold();
    await this.instance.service.restart({ ...options, signal: this.#wanted.signal });
  }

  retry(): void {
    if (!this.isWanted || this.#holds.size > 0) return;
    const { state } = this.instance.service.status;
    if (state === 'stopped' || state === 'failed') this.#restartNow();
  }

  giveUp(reason: ErrorReport): boolean {
    if (this.#waiting?.until === undefined) return false;
    this.#timer?.abort();
    this.#waiting = { state: 'failed', reason };
    this.#keep();
    this.#options.onChange(this.status);
    return true;
  }

  fail(error: MgpuError): boolean {
    return this.instance.service.fail(error);
  }

  askAlive(options: { timeoutMs: number; signal?: AbortSignal }): Promise<ProbeOutcome> {
    return this.instance.service.askAlive(options);
  }

  workTotals(): WorkTotals | undefined {
    return this.instance.service.workTotals();
  }

  observations(): readonly Observation[] {
    return this.instance.service.observations();
  }

  relieve(options: { signal?: AbortSignal }): Promise<boolean> {
    return this.instance.service.relieve(options);
  }

  async hold(name: string, reason: ErrorReport): Promise<void> {
    this.#holds.set(name, reason);
    this.#timer?.abort();
    this.#heedWish();
    this.#options.onChange(this.status);
    await this.instance.service.stop();
  }

  release(name: string): void {
    if (!this.#holds.delete(name) || this.#holds.size > 0) return;
    this.#heedWish();
    this.#options.onChange(this.status);
    if (!this.isWanted) return;
    const { state, until } = this.#waiting ?? {};
    // Its end may still be under way: the start waits for that.
    if (state === undefined || state === 'blocked') this.#startInBackground();
    else if (until !== undefined) this.#wakeAt(until);
  }

  /** It cannot start because of something else. */
  block(error: unknown): void {
    if (this.#waiting && this.#waiting.state !== 'blocked') return;
    // What it waits for now is not what it failed over before.
    this.#undecided = undefined;
    this.#waiting = error === undefined ? undefined : { state: 'blocked', reason: reportError(error) };
    this.#options.onChange(this.status);
  }

  /** A policy has come to office. */
  decide(): void {
    const failure = this.#undecided;
    this.#undecided = undefined;
    // Somebody restarts it already: then there is nothing to decide.
    const isFailed = this.instance.service.status.state === 'failed';
    if (!failure || !isFailed || !this.isWanted || this.#holds.size > 0) return;
    this.#decideAbout(failure);
    this.#options.onChange(this.status);
  }

  #expectNoHold(): void {
    const [reason] = this.#holds.values();
    if (reason) throw new InstanceHeldError({ instance: this.id, reason: reason.message });
  }

  #shownWaiting(): Partial<InstanceStatus> | undefined {
    const [hold] = this.#holds.values();
    if (hold && this.isWanted) return { state: 'blocked', reason: hold };
    if (!this.#waiting) return undefined;
    const { clock } = this.#options;
    const { until, ...shown } = this.#waiting;
    if (until === undefined) return shown;
    return { ...shown, until: new Date(clock.now() + until - clock.elapsed()).toISOString() };
  }

  #onStatus(status: ServiceStatus): void {
    const { state } = status;
    const now = this.#options.clock.elapsed();
    if (state === 'starting' || state === 'failed') {
      // Whoever started it, a pending restart has nothing left to do; and what it waited for before is no news after a run.
      this.#timer?.abort();
      this.#waiting = undefined;
      this.#undecided = undefined;
    }
    const isNews = this.#runs.see(status, now);
    if (state === 'failed' && this.isWanted && this.#holds.size === 0)
      this.#decideAbout(this.#runs.failureOf(status, now));
    else if (isNews) this.#keep();
    this.#options.onChange(this.status);
  }

  #decideAbout(failure: Failure): void {
    const { policy, log, onFailure } = this.#options;
    const inOffice = policy();
    if (!inOffice) {
      this.#undecided = failure;
      this.#keep();
      return;
    }
    const history = this.#failures;
    this.#failures = [...history, pastFailure(failure)].slice(-historyLength);
    let decision: RestartDecision;
    try {
      decision = inOffice.decide(failure, history, this.supervision);
    } catch (error) {
      log.error(`${failure.instance}: the restart policy failed, it is not restarted`, { error });
      this.#keep();
      return;
    }
    this.#carryOut(decision, failure.error);
    this.#keep();
    onFailure(failure, decision);
  }

  #carryOut({ restart, delayMs, reason, gaveUp = false }: RestartDecision, cause: ErrorReport): void {
    if (!restart && !gaveUp) return;
    const until = this.#options.clock.elapsed() + delayMs;
    this.#waiting = {
      state: gaveUp ? 'failed' : 'backoff',
      ...(restart ? { until } : {}),
      reason: { code: 'CORE_RESTART', message: `${cause.message}; ${reason}`, retryable: restart, cause },
    };
    if (restart) this.#wakeAt(until);
  }

  #wakeAt(until: number): void {
    const { clock } = this.#options;
    const timer = new AbortController();
    this.#timer = timer;
    const delayMs = until - clock.elapsed();
    // A restart without delay must not wait for the next turn of the timers.
    const waiting = delayMs > 0 ? clock.sleep(delayMs, { signal: timer.signal }) : Promise.resolve();
    waiting.then(
      () => {
        if (!timer.signal.aborted) this.#restartNow();
      },
      () => {}, // called off
    );
  }

  #restartNow(): void {
    this.#attempt += 1;
    // Its time has come: a daemon after us must not count it once more.
    this.#waiting = { state: 'blocked' };
    this.#keep();
    this.#startInBackground();
    // One that joins a start which waits for the former end is told of by nobody else.
    if (this.status.state !== 'starting') this.#options.onChange(this.status);
  }

  #startInBackground(): void {
    this.start().catch((error: unknown) => {
      if (error instanceof InstanceHeldError) return; // whoever holds it says so
      this.#options.log.warn(`${this.id}: the start failed`, { instance: this.id, attempt: this.#attempt, error });
    });
  }

  #whileWanted(signal: AbortSignal | undefined): AbortSignal {
    return signal ? AbortSignal.any([signal, this.#wanted.signal]) : this.#wanted.signal;
  }

  #keep(): void {
    if (this.#hasLetGo) return;
    const waiting = this.#waiting;
    this.#file.write({
      desired: this.#desired,
      attempt: this.#attempt,
      failures: [...this.#failures],
      ...(this.#runs.last ? { run: this.#runs.last } : {}),
      ...(waiting && waiting.state !== 'blocked' ? { nextStart: waiting } : {}),
    });
  }
}
