import * as z from 'zod/mini';
import { jobFaultsSchema } from '../faults/job-faults-schema.ts';
import { ms } from '../faults/shapes.ts';

/** What the environment variable MGPU_SIM_A1111 holds, as JSON. */
export const a1111SimulationSchema = z.strictObject({
  /** Time to the listening socket, counted from the creation of the process. */
  startMs: z._default(ms(), 0),
  /** With a web page: time from the listening socket to the API, which answers 404 until then. */
  apiMs: z._default(ms(), 0),
  /** Time a checkpoint takes to load. At the start it begins with the listening socket, and jobs wait for it. */
  modelMs: z._default(ms(), 0),
  stepMs: z._default(ms(), 50),
  seed: z._default(z.int(), 0),
  version: z._default(z.string(), 'v1.10.1'),
  /** The fork whose answers are imitated where they differ. */
  flavour: z._default(z.enum(['webui', 'forge']), 'webui'),
  /** What is offered besides the files in the folders of checkpoints. */
  checkpoints: z._default(z.array(z.string()), ['v1-5-pruned-emaonly.safetensors', 'sd_xl_base_1.0.safetensors']),
  gpu: z.prefault(z.strictObject({ memoryMiB: z._default(z.int(), 24_564) }), {}),
  faults: z._default(jobFaultsSchema, {}),
});
export type A1111Simulation = z.output<typeof a1111SimulationSchema>;
/** As written, before defaults. */
export type A1111SimulationInput = z.input<typeof a1111SimulationSchema>;
