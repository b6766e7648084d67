import type { ErrorReport, MgpuError } from '../errors/mgpu-error.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { JobProgress } from '../jobs/connector.ts';
import type { WorkTotals } from '../jobs/work-totals.ts';
import type { LivenessProbe, ProbeOutcome } from '../probe/probe.ts';
import type { InstanceStatus } from '../service/types.ts';
import type { Failure, RestartDecision, RestartPolicy } from './restart-policy.ts';
import type { Supervision } from './supervision.ts';

/** A job that an instance is working on. */
export interface WorkInHand {
  readonly job: string;
  /** ISO time. */
  readonly since: string;
  /** ISO time of the last sign of progress; `since` when there was none yet. */
  readonly progressAt: string;
  /** How far it is, where that is known. */
  readonly progress?: JobProgress;
}

/** What a service knows about another instance: a worker about the engine it feeds. */
export interface Observation {
  /** Instance it is about. */
  readonly instance: string;
  readonly work: readonly WorkInHand[];
  /** How it broke last; gone with the next success. */
  readonly fault?: { readonly at: string; readonly job: string; readonly error: ErrorReport };
}

/** One instance in the hands of whoever watches over it. */
export interface SupervisedInstance {
  readonly id: string;
  readonly kind: string;
  readonly gpu: Gpu | undefined;
  /** Its folder. */
  readonly dir: string;
  /** The file its process writes its output to; undefined without a process. */
  readonly logFile: string | undefined;
  readonly status: InstanceStatus;
  /** What its definition says of its recovery. */
  readonly supervision: Supervision;
  /** The liveness probe of the present run; undefined without one, or while it does not run. */
  readonly liveness: LivenessProbe | undefined;
  /** When the readiness probe of the present run was last answered with yes (monotonic milliseconds), if ever. */
  readonly readyAt: number | undefined;
  /** One try of the liveness probe; `unknown` without one. */
  askAlive(options: { timeoutMs: number; signal?: AbortSignal }): Promise<ProbeOutcome>;
  /** What it knows of other instances. */
  observations(): readonly Observation[];
  /** What became of the work it has passed on; undefined for what passes on none. */
  workTotals(): WorkTotals | undefined;
  /** Lets it free what memory it can while it runs; false when it knows no way. */
  relieve(options: { signal?: AbortSignal }): Promise<boolean>;
  /** Ends the present run as failed with this error, whereupon the policy decides; false when there is none to end. */
  fail(error: MgpuError): boolean;
  /** Stops it, letting work in hand end, and starts it again: no failure. */
  restart(): Promise<void>;
  /** Starts it now if it is wanted and waits for its next start, or was given up. Counters stay. */
  retry(): void;
  /**
   * Calls off its next start: failed with this reason, until somebody asks for it or it is retried. False when none is
   * pending.
   */
  giveUp(reason: ErrorReport): boolean;
  /** Stops it, letting work in hand end, and keeps it from starting until this hold is released. */
  hold(name: string, reason: ErrorReport): Promise<void>;
  /** Without any other hold it starts again if it is wanted. */
  release(name: string): void;
}

export interface SupervisorEvents {
  instance: InstanceStatus;
  /** An instance ended against the wish, and what was decided. */
  failure: { readonly failure: Failure; readonly decision: RestartDecision };
}

/** The machine's instances as the watchdog sees and moves them. */
export interface Supervisor {
  instances(): readonly SupervisedInstance[];
  /**
   * From now on this policy decides, also about what has failed already; until the returned function is called, then
   * nothing is restarted. The last one appointed counts.
   */
  appoint(policy: RestartPolicy): () => void;
  /** Returns the function that unsubscribes. */
  on<K extends keyof SupervisorEvents>(event: K, listener: (payload: SupervisorEvents[K]) => unknown): () => void;
}
