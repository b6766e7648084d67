import type { Supervision } from '../definition/define-service.ts';
import type { MgpuError } from '../errors/mgpu-error.ts';
import type { LastExit } from '../service/types.ts';

/** An end of an instance that nobody asked for. */
export interface Failure {
  readonly instance: string;
  readonly kind: string;
  readonly gpu?: number;
  readonly error: Pick<MgpuError, 'code' | 'message'>;
  readonly exit?: LastExit;
  /** Whether the run had been ready before it ended. */
  readonly everReady: boolean;
  readonly supervision?: Supervision;
}

export interface RestartDecision {
  readonly restart: boolean;
  /** Milliseconds to wait before the next start. */
  readonly delayMs: number;
  /** One clause for status and log. */
  readonly reason: string;
}

/** Decides when an instance is started again; the orchestrator only carries it out. */
export interface RestartPolicy {
  /** `history`: times (milliseconds since the epoch) of the instance's earlier failures, oldest first, at most 100. */
  decide(failure: Failure, history: readonly number[]): RestartDecision;
}

export const neverRestart: RestartPolicy = {
  decide: () => ({ restart: false, delayMs: 0, reason: 'nothing restarts it' }),
};
