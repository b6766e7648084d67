import type { ErrorReport } from '../errors/mgpu-error.ts';
import type { LastExit } from '../service/types.ts';
import type { Supervision } from './supervision.ts';

/**
 * An end of an instance that nobody asked for. Times are monotonic milliseconds (`Clock.elapsed`), comparable for as long
 * as the host is up: a daemon reads those of the one before it.
 */
export interface Failure {
  readonly instance: string;
  readonly kind: string;
  readonly gpu?: number;
  readonly error: ErrorReport;
  /** How its process ended, where it had one. */
  readonly exit?: LastExit;
  readonly startedAt: number;
  /** Milliseconds that the run was ready without a break, at the longest; undefined when it never was ready. */
  readonly readyMs?: number;
  readonly endedAt: number;
}

/** A failure as it is remembered: what counts of it, without its words, which are in the log. */
export interface PastFailure extends Omit<Failure, 'instance' | 'kind' | 'gpu' | 'error'> {
  readonly error: {
    readonly code: string;
    readonly retryable: boolean;
    /** What the system said, e.g. `ENOSPC`, outermost cause first. */
    readonly errnos: readonly string[];
  };
}

export function pastFailure({ error, exit, startedAt, readyMs, endedAt }: Failure): PastFailure {
  const { code, retryable } = error;
  return {
    error: { code, retryable, errnos: errnosOf(error) },
    ...(exit === undefined ? {} : { exit }),
    startedAt,
    ...(readyMs === undefined ? {} : { readyMs }),
    endedAt,
  };
}

function errnosOf({ details, cause }: ErrorReport): string[] {
  const own = details?.errno;
  return [...(typeof own === 'string' ? [own] : []), ...(cause ? errnosOf(cause) : [])];
}

export interface RestartDecision {
  readonly restart: boolean;
  /** Milliseconds to wait before the next start. */
  readonly delayMs: number;
  /** One clause for status and log. */
  readonly reason: string;
  /** It has failed too often: shown as failed, not as waiting, even when it is tried again after a long while. */
  readonly gaveUp?: boolean;
}

/** Decides when an instance is started again; the orchestrator only carries it out. One that throws restarts nothing. */
export interface RestartPolicy {
  /**
   * `history`: the instance's failures since somebody last asked for it, this one excluded, oldest first, at most 100.
   * `supervision`: what its definition says of its recovery.
   */
  decide(failure: Failure, history: readonly PastFailure[], supervision: Supervision): RestartDecision;
}

export const neverRestart: RestartPolicy = {
  decide: () => ({ restart: false, delayMs: 0, reason: 'nothing restarts it' }),
};
