import * as z from 'zod/mini';
import { count, counted, death, deathSignal, ms, positive } from '../faults/shapes.ts';

/** Which requests a fault hits, and how often. `match`: only those whose body, as JSON, contains this. `times`: then it is over. */
const aim = { match: z.optional(z.string()), times: z.optional(count()) };
/** Before the token of this number, from 1 (default 1). */
const place = { atToken: z.optional(positive()) };

/** Faults of the simulated Ollama; all but `dieAtStart` may be changed at run time through `PUT /sim/faults`. */
export const faultsSchema = z.strictObject({
  /** Message on stderr and exit before listening; with `times`, the starts after that many succeed. */
  dieAtStart: z.optional(counted(z.strictObject(death))),
  dieMidJob: z.optional(counted(z.strictObject({ ...aim, ...place, ...death, signal: z.optional(deathSignal) }))),
  /** `job`: no further token comes, until the client goes away. `process`: nothing answers any more. */
  hang: z.optional(z.strictObject({ ...aim, ...place, what: z.optional(z.enum(['job', 'process'])) })),
  /** The model does not fit: 500 with the words of the runner. */
  outOfMemory: z.optional(z.strictObject(aim)),
  /** The runner fails: 500 before the first token, else a last line `{"error"}` and no `done`. */
  raise: z.optional(z.strictObject({ ...aim, ...place, message: z.optional(z.string()) })),
  /** 503, as when `OLLAMA_MAX_QUEUE` requests wait already. */
  busy: z.optional(z.strictObject({ times: z.optional(count()) })),
  /** A pull that ends when so many bytes of a layer are there: with an error line, or (`cut`) by a closed connection. */
  breakPull: z.optional(
    z.strictObject({
      atBytes: z.optional(count()),
      message: z.optional(z.string()),
      cut: z.optional(z.boolean()),
      match: z.optional(z.string()),
      times: z.optional(count()),
    }),
  ),
  slow: z.optional(
    z.strictObject({ tokenFactor: z.optional(z.number().check(z.minimum(0))), httpMs: z.optional(ms()) }),
  ),
  /** 200 with a body, or lines, that are no JSON, on routes whose path starts with one of `paths` (default all). */
  garbageJson: z.optional(z.strictObject({ paths: z.optional(z.array(z.string())), times: z.optional(count()) })),
  ignoreTerm: z.optional(z.boolean()),
  ignoreInt: z.optional(z.boolean()),
});
export type Faults = z.output<typeof faultsSchema>;

/** What the environment variable MGPU_SIM_OLLAMA holds, as JSON. */
export const simulationSchema = z.strictObject({
  version: z._default(z.string().check(z.regex(/^\d+\.\d+\.\d+/)), '0.32.7'),
  /** After `Listening on`, before anything is answered: the search for GPUs. */
  startMs: z._default(ms(), 0),
  loadMs: z._default(ms(), 0),
  tokenMs: z._default(ms(), 5),
  /** Tokens of an answer that nothing cuts short. */
  tokens: z._default(positive(), 16),
  seed: z._default(z.int(), 0),
  /** Names that the registry does not have; it has every other one. */
  unknown: z._default(z.array(z.string()), []),
  /** Bytes of the largest layer of a pulled model. */
  layerBytes: z._default(positive(), 262_144),
  /** Without it as fast as the disk is. */
  pullBytesPerSecond: z.optional(positive()),
  faults: z._default(faultsSchema, {}),
});
export type OllamaSimulation = z.output<typeof simulationSchema>;
/** As written, before defaults. */
export type OllamaSimulationInput = z.input<typeof simulationSchema>;
