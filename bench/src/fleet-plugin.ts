// A plugin of mgpu: the programs of a fleet as services. An instance is of a GPU, and a machine has at most 64: larger
// fleets have two kinds.
import { defineService, gpuIndex, gpuSelectionSchema, httpProbe, type Probes, ProcessService } from '@mgpu/core';
import { z } from 'zod';

const schema = z.strictObject({
  enabled: z.boolean().default(false).describe('Whether it runs'),
  gpus: gpuSelectionSchema,
  programs: z
    .array(z.strictObject({ command: z.array(z.string()).min(1), port: z.number().int().optional() }))
    .default([])
    .describe('One program per GPU'),
  liveness: z
    .strictObject({ intervalMs: z.number(), timeoutMs: z.number(), failures: z.number().int() })
    .default({ intervalMs: 15_000, timeoutMs: 10_000, failures: 4 })
    .describe('When it counts as hung'),
});
type FleetConfig = z.output<typeof schema>;

class FleetService extends ProcessService<FleetConfig> {
  get #program() {
    const program = this.config.programs[gpuIndex(this.context.gpu) ?? 0];
    if (program === undefined) throw new Error(`${this.id} has no program`);
    return program;
  }

  protected override command() {
    const { command, port } = this.#program;
    const [file = '', ...args] = command;
    return { file, args, ...(port === undefined ? {} : { ports: [{ port }] }) };
  }

  protected override probes(): Probes {
    const { port } = this.#program;
    if (port === undefined) return {};
    const probe = httpProbe(new URL(`http://127.0.0.1:${port}`));
    return {
      startup: { probe, deadlineMs: 60_000 },
      readiness: { probe },
      liveness: { probe, orReady: true, ...this.config.liveness },
    };
  }
}

const fleet = (kind: string) =>
  defineService({
    api: 1,
    kind,
    summary: 'Programs of a benchmark',
    scope: 'gpu',
    phase: 'Fleet',
    critical: true,
    // Killed over and over by us, it is no service that keeps failing.
    supervision: { stableAfterMs: 1_000 },
    schema,
    create: (config, context) => new FleetService(config, context),
    ports: ({ programs }, gpus) =>
      gpus.flatMap((gpu) => {
        const port = programs[gpu]?.port;
        return port === undefined ? [] : [{ instance: `${kind}_gpu${gpu}`, port }];
      }),
  });

export const fleetA = fleet('fleet-a');
export const fleetB = fleet('fleet-b');
