import { z } from 'zod';

const schema = z.object({
  v: z.literal(1),
  promptId: z.uuid(),
  /** Id of the websocket it was submitted beside. One engine process never outlives it unnoticed; null without one. */
  engineRun: z.string().nullable(),
  deaths: z.number().int().nonnegative(),
});

/** How a job is found again in the engine. */
export type Checkpoint = z.output<typeof schema>;

/** What an earlier worker saved; undefined when there is nothing of use. */
export function readCheckpoint(saved: unknown): Checkpoint | undefined {
  const parsed = schema.safeParse(saved);
  return parsed.success ? parsed.data : undefined;
}
