import { z } from 'zod';

const schema = z.object({
  v: z.literal(1),
  /** Times the server broke off in the middle of the job. */
  deaths: z.number().int().nonnegative(),
});

/** What is kept of a job: a server forgets it with the connection, so there is nothing to find again. */
export type Checkpoint = z.output<typeof schema>;

/** What an earlier worker saved; a new one when there is nothing of use. */
export function readCheckpoint(saved: unknown): Checkpoint {
  const parsed = schema.safeParse(saved);
  return parsed.success ? parsed.data : { v: 1, deaths: 0 };
}
