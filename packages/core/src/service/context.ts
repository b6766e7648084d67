import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clock, systemClock } from '../clock.ts';
import { type Layout, layoutOf } from '../files/layout.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { GpuMonitor } from '../gpu/gpu-monitor.ts';
import type { LogLimits } from '../instance-log/log-limits.ts';
import type { ConnectorBinding } from '../jobs/connector.ts';
import { type Logger, silentLogger } from '../logs/logger.ts';
import type { Supervisor } from '../supervision/supervisor.ts';
import type { Endpoint, ServiceStatus } from './types.ts';

/** What an instance may know of the rest of the machine. */
export interface MachineView {
  readonly machineId: string;
  /** The GPUs it uses, in the order of their indexes; none for a service that is used alone. */
  readonly gpus: readonly Gpu[];
  /** Every instance that can be reached, running or not, in a stable order. */
  endpoints(filter?: { kind?: string; gpu?: number }): readonly Endpoint[];
  /** The connectors of the engines on this GPU, with the endpoint each talks to. */
  connectors(gpu: number): readonly ConnectorBinding[];
  instances(): readonly ServiceStatus[];
  /** How the GPUs are: asked once for all who want to know. */
  readonly gpuMonitor: GpuMonitor;
  /** For the watchdog: how instances are watched and moved. */
  readonly supervisor: Supervisor;
}

/** Whether an endpoint is among those that a filter asks for; one that is of no GPU serves all. */
export const isAskedFor = ({ kind, gpu }: Endpoint, wanted: { kind?: string; gpu?: number }): boolean =>
  (wanted.kind === undefined || kind === wanted.kind) &&
  (wanted.gpu === undefined || gpu === undefined || gpu === wanted.gpu);

/** Everything an instance gets from whoever holds it; a service alone gets `standaloneContext`. */
export interface ServiceContext {
  readonly id: string;
  readonly kind: string;
  /** A number is looked up with nvidia-smi at the start. */
  readonly gpu?: Gpu | number;
  readonly layout: Layout;
  readonly log: Logger;
  readonly clock: Clock;
  readonly machine: MachineView;
  /** The environment its processes inherit. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** How much of its process's output is kept. Default `logLimits`. */
  readonly logLimits?: Partial<LogLimits>;
  /** True: its process outlives ours, to be found again by its record. False: it is taken along when we end. */
  readonly survive: boolean;
  /** True when `layout.root` was made up for this service alone: it is removed when the service stops. */
  readonly temporaryRoot: boolean;
}

/** Of a service that is used alone. */
export const noSupervisor: Supervisor = { instances: () => [], appoint: () => () => {}, on: () => () => {} };

const nobody: MachineView = {
  machineId: 'standalone',
  gpus: [],
  endpoints: () => [],
  connectors: () => [],
  instances: () => [],
  gpuMonitor: new GpuMonitor({ clock: systemClock, env: process.env }),
  supervisor: noSupervisor,
};

export interface StandaloneOptions {
  readonly kind: string;
  readonly gpu?: number | undefined;
  /** Folder for logs, records and outputs. Default: a temporary one, removed when the service stops. */
  readonly root?: string | undefined;
  readonly log?: Logger;
  readonly machine?: MachineView;
}

/** The id of an instance: `nginx`, `comfyui_gpu0`. */
export const instanceId = (kind: string, gpu?: number) => (gpu === undefined ? kind : `${kind}_gpu${gpu}`);

/** A context for a service used alone: no orchestrator, no configuration, no daemon. */
export function standaloneContext({
  kind,
  gpu,
  root,
  log = silentLogger,
  machine = nobody,
}: StandaloneOptions): ServiceContext {
  return {
    id: instanceId(kind, gpu),
    kind,
    ...(gpu === undefined ? {} : { gpu }),
    layout: layoutOf(root ?? join(tmpdir(), `mgpu-${randomUUID()}`)),
    log,
    clock: systemClock,
    machine,
    env: process.env,
    survive: false,
    temporaryRoot: root === undefined,
  };
}
