import { z } from 'zod';

const schema = z.object({
  v: z.literal(1),
  /** Ends of the engine in the middle of this job. */
  deaths: z.number().int().nonnegative(),
  /** By which the engine's progress tells that it is this job that runs; null until it has begun. */
  timestamp: z.string().nullable(),
});

/** How a job is found again in the engine. */
export type Checkpoint = z.output<typeof schema>;

/** What an earlier worker saved; undefined when there is nothing of use. */
export function readCheckpoint(saved: unknown): Checkpoint | undefined {
  return schema.safeParse(saved).data;
}
