import { z } from 'zod';

/** What becomes one word of a command line. */
export const text = (most = 500) =>
  z
    .string()
    .min(1)
    .max(most)
    .regex(/^\P{Cc}*$/u, 'may have no control characters');

/** A file of the machine. */
export const file = text(4_096).startsWith('/', 'must be an absolute path');

export const names = (what: string) => z.array(text(200)).min(1).max(1_000).describe(what);
export const flag = (what: string) => z.boolean().optional().describe(what);
