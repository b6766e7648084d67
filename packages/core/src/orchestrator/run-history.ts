import type { ServiceStatus } from '../service/types.ts';
import type { Failure } from '../supervision/restart-policy.ts';
import type { RunMemory } from './instance-state.ts';

/** Follows the runs of an instance by its statuses: when each began, and how long it was ready. Times are monotonic. */
export class RunHistory {
  #run: RunMemory | undefined;
  #startedAt = 0;

  /** The present run, or the last one. */
  get last(): RunMemory | undefined {
    return this.#run;
  }

  /** Goes on with what a daemon before us knew. */
  restore(run: RunMemory | undefined): void {
    this.#run = run;
  }

  /** True when there is something new to remember. */
  see({ state, health, run }: ServiceStatus, now: number): boolean {
    const former = this.#run;
    if (state === 'starting') this.#startedAt = now;
    // Only after its start it is known which run it is: one that is adopted goes on with what is remembered of it.
    else if (run !== undefined && run !== former?.id) this.#run = { id: run, startedAt: this.#startedAt };
    this.#noteReady(state === 'running' && health === 'ready', now);
    return this.#run !== former;
  }

  /** The end of the last run, as a failed status tells it. */
  failureOf({ id, kind, gpu, reason, lastExit }: ServiceStatus, endedAt: number): Failure {
    const error =
      reason && 'code' in reason
        ? reason
        : { code: 'CORE_UNEXPECTED', message: reason?.message ?? 'unknown', retryable: false };
    const { startedAt = endedAt, readyMs } = this.#run ?? {};
    return {
      instance: id,
      kind,
      error,
      startedAt,
      endedAt,
      ...(readyMs === undefined ? {} : { readyMs }),
      ...(gpu === undefined ? {} : { gpu }),
      ...(lastExit && lastExit.run === this.#run?.id ? { exit: lastExit } : {}),
    };
  }

  #noteReady(isReady: boolean, now: number): void {
    if (!this.#run || isReady === (this.#run.readySince !== undefined)) return;
    const { readySince = now, readyMs = 0, ...run } = this.#run;
    this.#run = isReady ? { ...this.#run, readySince: now } : { ...run, readyMs: Math.max(readyMs, now - readySince) };
  }
}
