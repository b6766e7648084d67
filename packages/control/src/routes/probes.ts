import type { InstanceStatus } from '@mgpu/core';
import type { MachineStatus } from '../contract.ts';
import { answer, type Routing } from './route.ts';

/** What `GET /health` says; `services` only to whoever shows the token. */
export interface HealthReport {
  readonly healthy: boolean;
  readonly state: MachineStatus['state'];
  /** Milliseconds since the daemon was started. */
  readonly uptime: number;
  readonly services?: Readonly<Record<string, ServiceHealth>>;
}

export interface ServiceHealth {
  readonly healthy: boolean;
  /** The instance's state, or while it runs its health where that is not `ready`. */
  readonly status: string;
  readonly pid?: number;
  readonly restarts: number;
  /** Why it is not well. */
  readonly error?: string;
}

/** For whoever watches over machines: Kubernetes, load balancers, the predecessors' monitors. No envelopes, as they expect it. */
export function probeRoutes(routing: Routing): void {
  const { control, face } = routing;
  answer(routing, 'getLive', () => ({ live: true }));
  answer(routing, 'getHealth', ({ request, reply }) => {
    const status = control.status();
    const report = healthOf(status);
    const { services: _, ...plain } = report;
    return reply.status(report.healthy ? 200 : 503).send(face.isTrusted(request) ? report : plain);
  });
  answer(routing, 'getReady', ({ reply }) => {
    const ready = isReady(control.status());
    return reply.status(ready ? 200 : 503).send({ ready });
  });
}

export function healthOf(status: MachineStatus): HealthReport {
  const services = Object.fromEntries(status.instances.map((each) => [each.id, serviceHealth(each)]));
  const isWell = status.instances.every((each) => each.desired === 'down' || isWellOrComing(each, status.state));
  return {
    healthy: isWell && status.state !== 'stopping' && status.boot.outcome !== 'failed',
    state: status.state,
    uptime: uptimeMs(status),
    services,
  };
}

export const uptimeMs = ({ daemon }: MachineStatus): number => Math.max(0, Date.now() - Date.parse(daemon.startedAt));

export function serviceHealth(instance: InstanceStatus): ServiceHealth {
  const { state, health, pid, attempt, reason } = instance;
  const healthy = isWell(instance);
  return {
    healthy,
    status: state === 'running' && health !== 'ready' ? health : state,
    ...(pid === undefined ? {} : { pid }),
    restarts: attempt,
    ...(healthy || reason === undefined ? {} : { error: reason.message }),
  };
}

/** `degraded` works, and `unknown` has not been asked yet, or cannot be. */
const isWell = ({ state, health }: InstanceStatus): boolean =>
  state === 'completed' || (state === 'running' && health !== 'notReady');

/** During a boot what has not come up yet is no failure. */
const isWellOrComing = (instance: InstanceStatus, machine: MachineStatus['state']): boolean =>
  isWell(instance) || (machine === 'booting' && !['failed', 'unkillable', 'backoff'].includes(instance.state));

/** It does work: the boot is over, and of what is started on GPUs something is ready on at least one of them. */
export function isReady({ state, instances, boot }: MachineStatus): boolean {
  const onGpus = instances.filter(({ gpu, desired }) => gpu !== undefined && desired === 'up');
  const critical = instances.filter((each) => each.critical && each.desired === 'up');
  return (
    state === 'running' &&
    boot.outcome !== 'failed' &&
    critical.every((each) => each.gpu !== undefined || isWell(each)) &&
    (onGpus.length === 0 || onGpus.some(({ state, health }) => state === 'running' && health === 'ready'))
  );
}
