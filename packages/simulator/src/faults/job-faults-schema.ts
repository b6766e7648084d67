import * as z from 'zod/mini';
import { count, counted, death, deathSignal, ms, positive } from './shapes.ts';

/** Which jobs a fault hits, and how often. `match`: only prompts whose JSON text contains this. `times`: then it is over. */
const aim = { match: z.optional(z.string()), times: z.optional(count()) };
/** Where in a job: before executed node number `atNode` (from 1), or at step `atStep` of a node (of that one, with both). */
const place = { atNode: z.optional(positive()), atStep: z.optional(positive()) };

/**
 * Faults of a program that does jobs one node, or one step, after the other; all but `dieAtStart` may be changed at run time
 * through `PUT /sim/faults`.
 */
export const jobFaultsSchema = z.strictObject({
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
});
export type JobFaults = z.output<typeof jobFaultsSchema>;
