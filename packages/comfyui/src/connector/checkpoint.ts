import { z } from 'zod';

const schema = z.object({
  v: z.literal(1),
  promptId: z.uuid(),
  /** Id of the websocket that gets its events; null when it was submitted without one. */
  clientId: z.string().nullable(),
  deaths: z.number().int().nonnegative(),
  /** Outputs of the workflow that the engine left out; saved once it has said so. */
  ignored: z.array(z.string()).optional(),
});

/** How a job is found again in the engine. */
export type Checkpoint = z.output<typeof schema>;

/** What an earlier worker saved; undefined when there is nothing of use. */
export function readCheckpoint(saved: unknown): Checkpoint | undefined {
  const parsed = schema.safeParse(saved);
  return parsed.success ? parsed.data : undefined;
}
