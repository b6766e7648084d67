import type { IncidentSummary, MachineGpu, MachineStatus } from '@mgpu/control';
import type { Clock, QueueDepth } from '@mgpu/core';
import { type Incident, latestIncident, type QuarantinedGpu, quarantinedGpus } from '@mgpu/watchdog';
import { Recent } from './recent.ts';

const maxAgeMs = 1_000;
/** Milliseconds that whoever looks at a machine waits for its queue. */
const waitMs = 250;

export interface OverviewOptions {
  readonly clock: Clock;
  readonly stateDir: string;
  /** Rejects while there is no queue. */
  readonly depths: () => Promise<readonly QueueDepth[]>;
}

/** What a status has beside what the daemon knows itself: out of Redis and off the disk, however many ask for it. */
export class Overview {
  readonly #queues: Recent<readonly QueueDepth[]>;
  readonly #incident: Recent<Incident | undefined>;
  readonly #outOfService: Recent<readonly QuarantinedGpu[]>;

  constructor({ clock, stateDir, depths }: OverviewOptions) {
    const bounds = { clock, maxAgeMs, waitMs };
    this.#queues = new Recent({ ...bounds, ask: depths });
    this.#incident = new Recent({ ...bounds, ask: () => latestIncident(stateDir) });
    this.#outOfService = new Recent({ ...bounds, ask: async () => quarantinedGpus(stateDir) });
  }

  async complete(status: MachineStatus): Promise<MachineStatus> {
    const [queues, incident, outOfService = []] = await Promise.all([
      this.#queues.get(),
      this.#incident.get(),
      this.#outOfService.get(),
    ]);
    return {
      ...status,
      gpus: status.gpus.map((gpu) => withService(gpu, outOfService)),
      ...(queues === undefined ? {} : { queues }),
      ...(incident === undefined ? {} : { lastIncident: summaryOf(incident) }),
    };
  }
}

export function withService(gpu: MachineGpu, outOfService: readonly QuarantinedGpu[]): MachineGpu {
  const found = outOfService.find((each) => each.gpu === gpu.uuid);
  if (!found) return gpu;
  const { reason, hint, at: since } = found;
  return { ...gpu, outOfService: { reason, hint, since } };
}

export function summaryOf({ at, subject, severity, cause, actions }: Incident): IncidentSummary {
  const { code, message } = cause;
  const outcome = actions.at(-1)?.what;
  return { at, subject, severity, code, message, ...(outcome === undefined ? {} : { outcome }) };
}
