import type { Clock } from '../clock.ts';
import { type ErrorReport, reportError } from '../errors/mgpu-error.ts';
import type { Logger } from '../logs/logger.ts';
import type { ServiceStatus, StartOptions, StopOptions } from '../service/types.ts';
import type { Instance } from './instances.ts';
import type { RestartPolicy } from './restart-policy.ts';

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
  #failures: number[] = [];
  #everReady = false;
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

  /** Starts it as long as it is wanted. */
  start({ signal }: StartOptions = {}): Promise<void> {
    return this.instance.service.start({ signal: this.#whileWanted(signal) });
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

  #onStatus({ state, health, reason, lastExit, gpu, id, kind }: ServiceStatus): void {
    if (state === 'starting') {
      // Whoever started it, a pending restart has nothing left to do.
      this.#timer?.abort();
      this.#waiting = undefined;
      this.#everReady = false;
    }
    if (state === 'running' && health === 'ready') this.#everReady = true;
    if (state === 'failed' && this.#desired === 'up') {
      const error =
        reason && 'code' in reason ? reason : { code: 'CORE_UNEXPECTED', message: reason?.message ?? 'unknown' };
      const { supervision } = this.instance.definition;
      const decision = this.#options.restartPolicy.decide(
        {
          instance: id,
          kind,
          error,
          everReady: this.#everReady,
          ...(gpu === undefined ? {} : { gpu }),
          ...(lastExit === undefined ? {} : { exit: lastExit }),
          ...(supervision === undefined ? {} : { supervision }),
        },
        this.#failures,
      );
      this.#failures = [...this.#failures, this.#options.clock.now()].slice(-historyLength);
      if (decision.restart) this.#restartIn(decision.delayMs, decision.reason);
    }
    this.#options.onChange(this.status);
  }

  #whileWanted(signal: AbortSignal | undefined): AbortSignal {
    return signal ? AbortSignal.any([signal, this.#wanted.signal]) : this.#wanted.signal;
  }

  #restartIn(delayMs: number, reason: string): void {
    const { clock, log } = this.#options;
    const timer = new AbortController();
    this.#timer = timer;
    this.#waiting = {
      state: 'backoff',
      until: new Date(clock.now() + delayMs).toISOString(),
      reason: { code: 'CORE_RESTART', message: reason, retryable: true },
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
