import * as z from 'zod/mini';
import { count, counted, death, deathSignal, ms, positive } from '../fault-shapes.ts';

/** Which jobs a fault hits, and how often. `match`: only prompts whose JSON text contains this. `times`: then it is over. */
const aim = { match: z.optional(z.string()), times: z.optional(count()) };
/** Where in a job: before executed node number `atNode` (from 1), or at step `atStep` of a node (of that one, with both). */
const place = { atNode: z.optional(positive()), atStep: z.optional(positive()) };

/** Faults of the simulated ComfyUI; all but `dieAtStart` may be changed at run time through `PUT /sim/faults`. */
export const faultsSchema = z.strictObject({
  /** Message on stderr and exit before listening; with `times`, the starts after that many succeed. */
  dieAtStart: z.optional(counted(z.strictObject(death))),
  dieMidJob: z.optional(
    counted(
      z.strictObject({
        ...aim,
        ...place,
        ...death,
        signal: z.optional(deathSignal),
      }),
    ),
  ),
  /** `job`: the node never returns and interrupts have no effect. `process`: nothing answers any more, as when the GIL is held. */
  hang: z.optional(z.strictObject({ ...aim, ...place, what: z.optional(z.enum(['job', 'process'])) })),
  /** An `execution_error` shaped as torch's. */
  outOfMemory: z.optional(z.strictObject({ ...aim, ...place })),
  /** Any other Python exception. */
  raise: z.optional(
    z.strictObject({ ...aim, ...place, type: z.optional(z.string()), message: z.optional(z.string()) }),
  ),
  slow: z.optional(
    z.strictObject({ stepFactor: z.optional(z.number().check(z.minimum(0))), httpMs: z.optional(ms()) }),
  ),
  /** 200 with a body that is no JSON, on routes whose path, or its twin below `/api`, starts with one of `paths` (default all). */
  garbageJson: z.optional(z.strictObject({ paths: z.optional(z.array(z.string())), times: z.optional(count()) })),
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
  ignoreTerm: z.optional(z.boolean()),
  /** SIGINT has no effect. */
  ignoreInt: z.optional(z.boolean()),
  /** When set, or once the server listens: a grandchild in a session of its own, adopted by init, that outlives the server. */
  leaveChild: z.optional(
    z.strictObject({
      holdPort: z.optional(z.boolean()),
      ignoreTerm: z.optional(z.boolean()),
      clearEnv: z.optional(z.boolean()),
      lifeS: z.optional(positive()),
    }),
  ),
  /** Numbered lines on stdout, as fast as they are taken or at a rate. */
  floodStdout: z.optional(z.strictObject({ lines: z.optional(count()), linesPerSecond: z.optional(positive()) })),
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
