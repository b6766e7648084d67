import { type Clock, systemClock } from '../clock.ts';
import { layoutOf } from '../files/layout.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { GpuMonitor } from '../gpu/gpu-monitor.ts';
import type { ConnectorBinding } from '../jobs/connector.ts';
import { type Logger, silentLogger } from '../logs/logger.ts';
import { instanceId, isAskedFor, noSupervisor, type ServiceContext } from '../service/context.ts';
import type { Endpoint } from '../service/types.ts';
import type { Supervisor } from '../supervision/supervisor.ts';
import { temporaryFolder } from './temporary-folder.ts';

export interface TestContextOptions {
  readonly kind: string;
  readonly gpu?: Gpu;
  readonly clock?: Clock;
  readonly log?: Logger;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** GPUs of the machine. Default: that of the instance, or none. */
  readonly gpus?: readonly Gpu[];
  /** What the rest of the machine offers. */
  readonly endpoints?: readonly Endpoint[];
  readonly connectors?: readonly ConnectorBinding[];
  readonly supervisor?: Supervisor;
  /** Several contexts of one machine share a root; without it each has its own, removed with it. */
  readonly root?: string;
}

/** A context as the orchestrator would give it, on a temporary root that is removed when disposed. */
export function testContext(options: TestContextOptions): ServiceContext & Disposable {
  const {
    kind,
    gpu,
    clock = systemClock,
    log = silentLogger,
    env = process.env,
    endpoints = [],
    connectors = [],
    supervisor = noSupervisor,
  } = options;
  const folder = options.root === undefined ? temporaryFolder() : { path: options.root, [Symbol.dispose]() {} };
  return {
    id: instanceId(kind, gpu?.index),
    kind,
    ...(gpu === undefined ? {} : { gpu }),
    layout: layoutOf(folder.path),
    log,
    clock,
    env,
    survive: true,
    temporaryRoot: false,
    machine: {
      machineId: 'test',
      gpus: options.gpus ?? (gpu === undefined ? [] : [gpu]),
      gpuMonitor: new GpuMonitor({ clock, env }),
      supervisor,
      instances: () => [],
      connectors: () => connectors,
      endpoints: (filter = {}) => endpoints.filter((each) => isAskedFor(each, filter)),
    },
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}
