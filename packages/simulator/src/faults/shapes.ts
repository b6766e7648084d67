import * as z from 'zod/mini';

export const positive = () => z.int().check(z.minimum(1));
export const ms = () => z.number().check(z.minimum(0));
export const count = () => z.int().check(z.minimum(0));
export const exitCode = () => z.int().check(z.minimum(0), z.maximum(255));

/** How a process that is to die does so. */
export const death = {
  exitCode: z.optional(exitCode()),
  message: z.optional(z.string()),
  times: z.optional(count()),
  countFile: z.optional(z.string()),
};
export const deathSignal = z.enum(['SIGKILL', 'SIGSEGV', 'SIGABRT']);

/** The strikes of a fault that ends the process are counted in a file, or there is no end to them. */
export const counted = <Fault extends z.ZodMiniType<{ times?: number | undefined; countFile?: string | undefined }>>(
  fault: Fault,
) =>
  fault.check(
    z.refine(
      ({ times, countFile }) => (times === undefined) === (countFile === undefined),
      'times and countFile need each other: the count must outlive the process',
    ),
  );
