import type {
  BootPhase,
  BootReport,
  ErrorReport,
  Gpu,
  GpuHealth,
  InstanceOutcome,
  InstanceStatus,
  InstanceVerb,
  JobQueue,
  QueueDepth,
  WorkTotals,
} from '@mgpu/core';
import type { z } from 'zod';

/** Version of every answer's envelope. */
export const apiVersion = 'mgpu/v1';

/** What every answer and every `--json` output looks like. */
export interface Envelope<K extends string = string, D = unknown> {
  readonly apiVersion: typeof apiVersion;
  readonly kind: K;
  readonly data: D;
}

export const envelope = <K extends string, D>(kind: K, data: D): Envelope<K, D> => ({ apiVersion, kind, data });

export interface DaemonStatus {
  readonly pid: number;
  /** UUID of this life of the daemon. */
  readonly run: string;
  readonly version: string;
  /** ISO time. */
  readonly startedAt: string;
}

/** What a real GPU said when it was asked last; what its driver does not tell is left out. */
export interface GpuGauges extends Partial<Omit<GpuHealth, 'uuid' | 'bus'>> {
  /** ISO time of the answer. */
  readonly at: string;
}

/** A GPU with how it is; simulated ones and the CPU measure nothing. */
export type MachineGpu = Gpu & {
  readonly gauges?: GpuGauges;
  /** Why nothing is started on it. */
  readonly outOfService?: { readonly reason: string; readonly hint: string /** ISO time. */; readonly since: string };
};

/** One failure or fault in a line; `mgpu why <subject>` has the rest. */
export interface IncidentSummary {
  /** ISO time. */
  readonly at: string;
  /** Instance id, GPU UUID or `machine`. */
  readonly subject: string;
  readonly severity: 'info' | 'warning' | 'error' | 'critical';
  readonly code: string;
  readonly message: string;
  /** What was done about it, or came of it, last. */
  readonly outcome?: string;
}

/** The machine at one moment. */
export interface MachineStatus {
  readonly machineId: string;
  readonly root: string;
  readonly state: 'booting' | 'running' | 'stopping';
  readonly daemon: DaemonStatus;
  readonly gpus: readonly MachineGpu[];
  /** The latest: of everything, or of what was missing when somebody asked for it. */
  readonly boot: BootReport;
  readonly instances: readonly InstanceStatus[];
  /** What is wrong with the machine as a whole. */
  readonly problems: readonly ErrorReport[];
  /** The queue of each type of job that this machine does; left out while nobody answers for it. */
  readonly queues?: readonly QueueDepth[];
  readonly lastIncident?: IncidentSummary;
}

/** What is counted of one instance, beside its status. */
export interface InstanceMeasures {
  readonly id: string;
  /** Resident memory of its processes; pages that they share count once for each. */
  readonly memoryBytes?: number;
  /** Bytes it has ever printed. */
  readonly logBytes?: number;
  readonly work?: WorkTotals;
}

/** The machine in numbers. */
export interface MachineMeasures {
  readonly status: MachineStatus;
  readonly instances: readonly InstanceMeasures[];
}

/** One failure or fault with everything that is known of it. */
export interface IncidentReport {
  readonly id: string;
  /** ISO time. */
  readonly at: string;
  /** Instance id, GPU UUID (its PCI bus id where that is not known), or `machine`. */
  readonly subject: string;
  readonly scope: 'job' | 'process' | 'gpu' | 'host';
  /** Index of the GPU concerned. */
  readonly gpu?: number | undefined;
  readonly severity: IncidentSummary['severity'];
  readonly cause: { readonly code: string; readonly message: string; readonly hint?: string | undefined };
  /** What led to the conclusion. */
  readonly evidence: readonly { readonly at: string; readonly text: string }[];
  /** The last lines that its process printed. */
  readonly lastWords: readonly string[];
  /** What was done about it, and what came of it, in order. */
  readonly actions: readonly { readonly at: string; readonly what: string }[];
}

/** The configuration in force, secrets left out. */
export interface ConfigReport {
  /** Null where there is no file: defaults and environment. */
  readonly file: string | null;
  readonly config: unknown;
}

/** An instance that has printed something on this machine, at some time. */
export interface InstanceLog {
  readonly id: string;
  readonly kind: string;
  readonly gpu?: number;
  /** Path of its `output.log`. */
  readonly file: string;
}

/** The logs there are: what instances print, and the folder of the daemon's own. */
export interface MachineLogs {
  readonly instances: readonly InstanceLog[];
  readonly daemon: string;
}

/** How far an operation has come. */
export interface OperationProgress {
  /** One line for people. */
  readonly text: string;
  /** Percent, where that can be told. */
  readonly percent?: number;
}

/** Work on the machine that may take long: it runs as a task. */
export interface Operation {
  /** `<service>.<verb>`, such as `models.pull`. */
  readonly name: string;
  readonly summary: string;
  readonly input: z.ZodObject;
  /** Whether it changes anything. */
  readonly changes: boolean;
  /**
   * Resolves with the envelope of its answer. Rejects with what it failed at, and when the signal fired with its reason, or with
   * what could not be put back.
   */
  run(
    input: Readonly<Record<string, unknown>>,
    options: { readonly signal: AbortSignal; readonly onProgress: (progress: OperationProgress) => void },
  ): Promise<Envelope>;
}

export type TaskState = 'running' | 'completed' | 'failed' | 'cancelled';

/** An operation that somebody asked for. */
export interface TaskStatus {
  readonly id: string;
  /** Name of the operation. */
  readonly operation: string;
  readonly state: TaskState;
  /** As it was asked for, secrets left out. */
  readonly input: unknown;
  readonly progress?: OperationProgress;
  /** The envelope of its answer, when completed. */
  readonly result?: Envelope;
  /** Why it failed; of one that was cancelled, what it could not put back. */
  readonly error?: ErrorReport;
  /** ISO time. */
  readonly createdAt: string;
  readonly endedAt?: string;
}

/** What happens to a task, in order; the last one is `ended`. */
export type TaskEvent =
  | { readonly event: 'progress'; readonly progress: OperationProgress }
  | { readonly event: 'ended'; readonly status: TaskStatus };

/** What happens on the machine; `snapshot` comes first on every stream that does not go on with a former one. */
export type MachineEvent =
  | { readonly event: 'snapshot'; readonly data: MachineStatus }
  | { readonly event: 'phase'; readonly data: BootPhase }
  | { readonly event: 'instance'; readonly data: InstanceStatus }
  /** A boot ended: of everything, with `error` when it failed, or later of what was missing. */
  | { readonly event: 'boot'; readonly data: { readonly report: BootReport; readonly error?: ErrorReport } };

/** What the control socket and the HTTP API give a face to. */
export interface MachineControl {
  /** What is known without asking anybody. */
  status(): MachineStatus;
  /** The same with the queue and the last incident, as far as they are known within a moment. */
  overview(): Promise<MachineStatus>;
  /** Starts what is not running. Resolves when everything was tried. */
  up(): Promise<BootReport>;
  /** Stops everything and then the daemon. Resolves when the instances are gone. */
  down(options: { force: boolean }): Promise<void>;
  /** Resolves when it is ready. Throws `CORE_SERVICE_UNKNOWN`, `CORE_INSTANCE_HELD`, and what keeps it from starting. */
  startInstance(id: string): Promise<void>;
  /** Lets work in hand end, unless forced. Resolves when it is gone; it stays away until somebody starts it. */
  stopInstance(id: string, options: { force: boolean }): Promise<void>;
  /** Stops and starts it. Resolves when it is ready. */
  restartInstance(id: string, options: { force: boolean }): Promise<void>;
  /**
   * The same for several at once, in the order in which they use each other; what runs or has completed is not started. Resolves
   * with what came of each. Throws `CORE_SERVICE_UNKNOWN` before anything is done.
   */
  operate(verb: InstanceVerb, ids: readonly string[], options: { force: boolean }): Promise<readonly InstanceOutcome[]>;
  /**
   * Stops it, letting work in hand end, and keeps it from starting until the signal fires; `why` is told meanwhile. Resolves when
   * it is gone.
   */
  holdInstance(id: string, options: { why: string; signal: AbortSignal }): Promise<void>;
  /** Returns the function that unsubscribes. */
  subscribe(listener: (event: MachineEvent) => void): () => void;
  /** Throws `CONTROL_NO_JOBS` on a machine without a queue. */
  jobs(): JobQueue;
  /** Types of the jobs that are done here. */
  jobTypes(): readonly string[];
  /** Absolute path of the folder with one of each job's. */
  readonly artifactsDir: string;
  /** Those on record, oldest first. */
  incidents(): Promise<readonly IncidentReport[]>;
  config(): ConfigReport;
  logs(): MachineLogs;
  readonly operations: readonly Operation[];
  /** In the text format of Prometheus 0.0.4. */
  metrics(): Promise<string>;
}
