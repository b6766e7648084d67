import type { Clock } from '../clock.ts';
import type { MachineConfig } from '../config/machine-config.ts';
import type { Layout } from '../files/layout.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { GpuMonitor } from '../gpu/gpu-monitor.ts';
import { type LogLimits, mebibyte } from '../instance-log/log-limits.ts';
import type { ConnectorBinding } from '../jobs/connector.ts';
import type { Logger } from '../logs/logger.ts';
import type { BaseService } from '../service/base-service.ts';
import { isAskedFor, type MachineView } from '../service/context.ts';
import type { Endpoint, ServiceStatus } from '../service/types.ts';
import type { Supervisor } from '../supervision/supervisor.ts';
import type { MachinePlan, PlannedInstance } from './plan.ts';

/** A planned instance with its service. */
export interface Instance extends PlannedInstance {
  readonly service: BaseService<object>;
}

export interface CreateOptions {
  readonly config: MachineConfig;
  readonly layout: Layout;
  readonly machineId: string;
  readonly gpus: readonly Gpu[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Logger;
  readonly clock: Clock;
  readonly survive?: boolean;
  readonly statuses: () => readonly ServiceStatus[];
  readonly supervisor: Supervisor;
}

/** Constructs every service of the plan and the view of the machine they share. Starts nothing. */
export function createInstances(
  plan: MachinePlan,
  options: CreateOptions,
): { view: MachineView; instances: ReadonlyMap<string, Instance> } {
  const { config, machineId, gpus, log, layout, clock, env, survive = true } = options;
  const instances = new Map<string, Instance>();
  const view: MachineView = {
    machineId,
    gpus,
    gpuMonitor: new GpuMonitor({ clock, env }),
    supervisor: options.supervisor,
    instances: options.statuses,
    endpoints: (filter = {}) =>
      [...instances.values()]
        .map(({ service }) => service.endpoint)
        .filter((each): each is Endpoint => each !== undefined && isAskedFor(each, filter)),
    connectors: (gpu) =>
      [...instances.values()].flatMap(({ definition, service, gpu: own }): ConnectorBinding[] => {
        const { endpoint } = service;
        if (!definition.connector || !endpoint || (own !== undefined && own.index !== gpu)) return [];
        const { types, module } = definition.connector;
        return [{ kind: definition.kind, types, module: module.href, endpoint }];
      }),
  };
  for (const planned of plan.instances) {
    const { id, definition, gpu } = planned;
    const context = {
      id,
      kind: definition.kind,
      ...(gpu === undefined ? {} : { gpu }),
      layout,
      clock,
      env,
      survive,
      temporaryRoot: false,
      logLimits: logLimitsOf(config),
      machine: view,
      log: log.child({ instance: id }),
    };
    instances.set(id, { ...planned, service: definition.create(config.services[definition.kind], context) });
  }
  return { view, instances };
}

function logLimitsOf({ logging: { instances } }: MachineConfig): Partial<LogLimits> {
  const { maxSizeMiB, keepMiB, totalMiB, keepArchives, keepDays } = instances;
  return {
    maxBytes: maxSizeMiB * mebibyte,
    keepArchives,
    keepBytes: keepMiB * mebibyte,
    keepDays,
    totalBytes: totalMiB * mebibyte,
  };
}
