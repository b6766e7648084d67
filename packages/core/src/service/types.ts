import type { ErrorReport } from '../errors/mgpu-error.ts';
import type { ProcessExit } from '../process/spawn.ts';
import type { WorkInHand } from '../supervision/supervisor.ts';

/** The life of an instance. `blocked` and `backoff` are the orchestrator's, the rest belongs to one run. */
export type ServiceState =
  | 'stopped'
  | 'blocked'
  | 'starting'
  | 'running'
  | 'stopping'
  | 'cleaning'
  | 'backoff'
  | 'failed'
  | 'completed'
  | 'unkillable';

/** Only meaningful while running. `degraded`: works, but something it uses does not. */
export type Health = 'unknown' | 'ready' | 'notReady' | 'degraded';

/** What somebody says about the health of a run. */
export interface HealthClaim {
  readonly health: Health;
  readonly reason?: string;
}

/** Where an instance can be reached. */
export interface Endpoint {
  readonly instance: string;
  readonly kind: string;
  /** Index of the GPU it runs on; undefined for a machine-scoped service. */
  readonly gpu?: number;
  /** `http://127.0.0.1:8188`, `redis://…`, or `unix:///path/to.sock`. */
  readonly url: URL;
  /** What whoever uses it on the same machine may know besides the address, e.g. `outputDir`. */
  readonly local?: Readonly<Record<string, string>>;
}

export interface HealthReport extends HealthClaim {
  /** ISO time of the answer. */
  readonly checkedAt: string;
}

/** How the last run's process ended. An adopted one leaves neither code nor signal behind. */
export interface LastExit extends ProcessExit {
  /** ISO time. */
  readonly at: string;
  readonly run: string;
  /** Milliseconds since the run began, its preparation included. */
  readonly uptimeMs: number;
}

export interface ServiceStatus {
  readonly id: string;
  readonly kind: string;
  readonly gpu?: number;
  readonly state: ServiceState;
  readonly health: Health;
  /** Why it is in this state, or not healthy. */
  readonly reason?: ErrorReport | { readonly message: string };
  /** ISO time of the last change of state or health. */
  readonly since: string;
  /** Id of the present run. */
  readonly run?: string;
  /** ISO time of the beginning of the present run. */
  readonly startedAt?: string;
  readonly pid?: number;
  readonly port?: number;
  readonly endpoint?: string;
  /** Set while its process is one that a former daemon started. */
  readonly adopted?: true;
  /** Set while its process runs by other settings than those in force. */
  readonly outdated?: true;
  readonly lastExit?: LastExit;
}

/** A service's status with what the orchestrator adds. */
export interface InstanceStatus extends ServiceStatus {
  /** Whether the machine is of no use without it. */
  readonly critical: boolean;
  readonly desired: 'up' | 'down';
  /** Restarts since somebody last asked for it. */
  readonly attempt: number;
  /** ISO time of the next start, while in backoff or given up. */
  readonly until?: string;
  /** Jobs that it has in hand, as far as whoever feeds it says. */
  readonly work?: readonly WorkInHand[];
}

export interface StopOptions {
  /** Do not wait for graceful ends: kill at once. Also shortens a stop under way. */
  readonly force?: boolean;
}

export interface StartOptions {
  /** Cancels the start; what it had acquired is released. Whoever joins the start of another only leaves it. */
  readonly signal?: AbortSignal;
}

/** Events of every service. */
export interface ServiceEvents {
  /** The state, the health or its reason changed. */
  status: ServiceStatus;
  /** The process of a run ended. */
  exit: LastExit;
}
