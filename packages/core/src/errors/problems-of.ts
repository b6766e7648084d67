import type { z } from 'zod';

/** Each broken rule of a schema as `path: what is wrong`; `whole` stands for the path of the value itself. */
export const problemsOf = ({ issues }: z.core.$ZodError, whole: string): string[] =>
  issues.map(({ path, message }) => `${path.join('.') || whole}: ${message}`);
