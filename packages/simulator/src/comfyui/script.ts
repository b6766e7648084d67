import * as z from 'zod/mini';
import { jobFaultsSchema } from '../faults/job-faults-schema.ts';
import { count, ms } from '../faults/shapes.ts';

/** Faults of the simulated ComfyUI. */
export const faultsSchema = z.extend(jobFaultsSchema, {
  websocket: z.optional(
    z.strictObject({
      /** Answer the upgrade with 503. */
      refuse: z.optional(z.boolean()),
      /** Cut every socket, without a close frame, after it got this many messages. */
      dropAfter: z.optional(count()),
      /** Swallow all messages but stay connected. */
      mute: z.optional(z.boolean()),
      /** So many refusals, cuts or swallowed messages. */
      times: z.optional(count()),
    }),
  ),
  /** False repairs the defect that a closing socket unregisters its successor with the same client id. */
  sameClientTrap: z.optional(z.boolean()),
});
export type Faults = z.output<typeof faultsSchema>;

/** What the environment variable MGPU_SIM holds, as JSON. */
export const simulationSchema = z.strictObject({
  startMs: z._default(ms(), 0),
  stepMs: z._default(ms(), 50),
  promptMs: z._default(ms(), 0),
  version: z._default(z.string().check(z.regex(/^\d+\.\d+\.\d+$/)), '0.26.0'),
  seed: z._default(z.int(), 0),
  previews: z.optional(z.boolean()),
  checkpoints: z._default(z.array(z.string()), ['v1-5-pruned-emaonly-fp16.safetensors', 'sd_xl_base_1.0.safetensors']),
  gpu: z.prefault(
    z.strictObject({ name: z._default(z.string(), 'NVIDIA GeForce RTX 4090'), memoryMiB: z._default(z.int(), 24564) }),
    {},
  ),
  faults: z._default(faultsSchema, {}),
});
export type Simulation = z.output<typeof simulationSchema>;
/** As written, before defaults. */
export type SimulationInput = z.input<typeof simulationSchema>;
