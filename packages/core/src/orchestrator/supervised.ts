import type { Clock } from '../clock.ts';
import { DependencyFailedError, StartAbortedError } from '../errors/core-errors.ts';
import { type ErrorReport, reportError } from '../errors/mgpu-error.ts';
import type { Logger } from '../logs/logger.ts';
import type { ServiceStatus, StartOptions, StopOptions } from '../service/types.ts';
import type { Instance } from './instances.ts';
import type { Failure, RestartDecision, RestartPolicy } from './restart-policy.ts';

/** A service's status with what the orchestrator adds. */
export interface InstanceStatus extends ServiceStatus {
  readonly desired: 'up' | 'down';
  /** Restarts since somebody last asked for it. */
  readonly attempt: number;
  /** ISO time of the next start, while in backoff. */
  readonly until?: string;
}

export interface SupervisedOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly restartPolicy: RestartPolicy;
  readonly onChange: (status: InstanceStatus) => void;
}

const historyLength = 100;

/** What is wanted of one instance, and carrying out the restart policy when it fails against that wish. */
export class Supervised {
  readonly instance: Instance;
  readonly #options: SupervisedOptions;
  #desired: 'up' | 'down' = 'down';
  #attempt = 0;
  #failures: readonly Failure[] = [];
  /** The present run, or the last one. */
  #run: string | undefined;
  #startedAt = 0;
  #readyAt: number | undefined;
  #waiting:
    | { readonly state: 'blocked' | 'backoff'; readonly reason?: ErrorReport; readonly until?: string }
    | undefined;
  #timer: AbortController | undefined;
  /** Fires when it is no longer wanted up: calls off every start and restart under way. */
  #wanted = new AbortController();

  constructor(instance: Instance, options: SupervisedOptions) {
    this.instance = instance;
    this.#options = options;
    instance.service.on('status', (status) => this.#onStatus(status));
  }

  get status(): InstanceStatus {
    const status = this.instance.service.status;
    const waiting = status.state === 'stopped' || status.state === 'failed' ? this.#waiting : undefined;
    return { ...status, ...waiting, desired: this.#desired, attempt: this.#attempt };
  }

  /** Somebody asks for it: counters begin anew, a pending restart is called off. */
  want(desired: 'up' | 'down'): void {
    this.#timer?.abort();
    this.#timer = undefined;
    this.#desired = desired;
    if (desired === 'down') this.#wanted.abort();
    else if (this.#wanted.signal.aborted) this.#wanted = new AbortController();
    this.#attempt = 0;
    this.#failures = [];
    this.#waiting = desired === 'up' ? { state: 'blocked' } : undefined;
    this.#options.onChange(this.status);
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

  /** Starts it as long as it is wanted. A restart that cuts in is joined. */
  async start({ signal }: StartOptions = {}): Promise<void> {
    const { service } = this.instance;
    for (;;) {
      try {
        return await service.start({ signal: this.#whileWanted(signal) });
      } catch (error) {
        const gaveWay = error instanceof StartAbortedError && service.status.state !== 'failed';
        if (!gaveWay || !this.isWanted || signal?.aborted) throw error;
      }
    }
  }

  /** Stops it and starts it again if it still is wanted then. */
  restart(options: StopOptions = {}): Promise<void> {
    return this.instance.service.restart({ ...options, signal: this.#wanted.signal });
  }

  /** It cannot start because of something else. */
  block(error: unknown): void {
    this.#waiting = error === undefined ? undefined : { state: 'blocked', reason: reportError(error) };
    this.#options.onChange(this.status);
  }

  #onStatus(status: ServiceStatus): void {
    const { state, health } = status;
    const now = this.#options.clock.elapsed();
    if (state === 'starting') {
      // Whoever started it, a pending restart has nothing left to do.
      this.#timer?.abort();
      this.#waiting = undefined;
      this.#run = status.run;
      this.#startedAt = now;
      this.#readyAt = undefined;
    }
    if (state === 'running' && health === 'ready') this.#readyAt ??= now;
    if (state === 'failed' && this.isWanted) this.#onFailure(this.#failureOf(status, now));
    this.#options.onChange(this.status);
  }

  #failureOf({ id, kind, gpu, reason, lastExit }: ServiceStatus, endedAt: number): Failure {
    const error =
      reason && 'code' in reason
        ? reason
        : { code: 'CORE_UNEXPECTED', message: reason?.message ?? 'unknown', retryable: false };
    return {
      instance: id,
      kind,
      error,
      startedAt: this.#startedAt,
      endedAt,
      ...(this.#readyAt === undefined ? {} : { readyAt: this.#readyAt }),
      ...(gpu === undefined ? {} : { gpu }),
      ...(lastExit?.run === this.#run ? { exit: lastExit } : {}),
    };
  }

  #onFailure(failure: Failure): void {
    const { restartPolicy, log } = this.#options;
    const history = this.#failures;
    this.#failures = [...history, failure].slice(-historyLength);
    try {
      const decision = restartPolicy.decide(failure, history);
      if (decision.restart) this.#restartIn(decision, failure.error);
    } catch (error) {
      log.error(`${failure.instance}: the restart policy failed, it is not restarted`, { error });
    }
  }

  #whileWanted(signal: AbortSignal | undefined): AbortSignal {
    return signal ? AbortSignal.any([signal, this.#wanted.signal]) : this.#wanted.signal;
  }

  #restartIn({ delayMs, reason }: RestartDecision, cause: ErrorReport): void {
    const { clock, log } = this.#options;
    const timer = new AbortController();
    this.#timer = timer;
    this.#waiting = {
      state: 'backoff',
      until: new Date(clock.now() + delayMs).toISOString(),
      reason: { code: 'CORE_RESTART', message: `${cause.message}; ${reason}`, retryable: true, cause },
    };
    clock.sleep(delayMs, { signal: timer.signal }).then(
      async () => {
        if (timer.signal.aborted) return;
        this.#attempt += 1;
        await this.start().catch((error: unknown) => {
          log.warn(`${this.instance.id}: restart ${this.#attempt} failed`, { instance: this.instance.id, error });
        });
      },
      () => {}, // called off
    );
  }
}
