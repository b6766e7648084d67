import { join } from 'node:path';
import { z } from 'zod';
import type { ErrorReport } from '../errors/mgpu-error.ts';
import { type BootFile, bootFile } from '../files/versioned.ts';
import type { Logger } from '../logs/logger.ts';
import { bootId } from '../process/process-table.ts';
import type { LastExit } from '../service/types.ts';

const runSchema = z.object({
  id: z.string(),
  startedAt: z.number(),
  /** While it is ready. */
  readySince: z.number().exactOptional(),
  /** Its longest time of being ready that is over, in milliseconds. */
  readyMs: z.number().exactOptional(),
});

const failureSchema = z.object({
  error: z.object({
    code: z.string(),
    retryable: z.boolean(),
    /** Those of former daemons have none. */
    errnos: z.array(z.string()).readonly().default([]),
  }),
  exit: z.custom<LastExit>().exactOptional(),
  startedAt: z.number(),
  readyMs: z.number().exactOptional(),
  endedAt: z.number(),
});

const nextStartSchema = z.object({
  state: z.enum(['backoff', 'failed']),
  /** Not before that; without it somebody has to ask for it. */
  until: z.number().exactOptional(),
  reason: z.custom<ErrorReport>(),
});

const schema = z.object({
  /** Times are monotonic milliseconds of this boot. */
  bootId: z.string(),
  desired: z.enum(['up', 'down']),
  attempt: z.number().int().nonnegative(),
  failures: z.array(failureSchema),
  /** Its present run, so that one that is adopted goes on counting from where it was. */
  run: runSchema.exactOptional(),
  nextStart: nextStartSchema.exactOptional(),
});

/** What is known of a run, in monotonic milliseconds. */
export type RunMemory = z.infer<typeof runSchema>;

/** After a failure: when, if ever, it is started again by itself. */
export type NextStart = z.infer<typeof nextStartSchema>;

/** What is remembered of an instance's supervision across the death of the daemon: `run/<instance>.state.json`. */
export type InstanceState = Omit<z.infer<typeof schema>, 'bootId'>;

/** Keeps the state of one instance on disk: what is told of it afterwards survives us. */
export class InstanceStateFile {
  readonly #document: BootFile<z.infer<typeof schema>>;
  readonly #instance: string;
  readonly #log: Logger;

  constructor(runDir: string, instance: string, log: Logger) {
    this.#document = bootFile(join(runDir, `${instance}.state.json`), 1, schema);
    this.#instance = instance;
    this.#log = log;
  }

  /** Undefined without one, and for one of another boot. Throws `CORE_FILE_VERSION` or `CORE_FILE_INVALID`. */
  read(): InstanceState | undefined {
    const state = this.#document.read();
    return state?.bootId === bootId() ? state : undefined;
  }

  write(state: InstanceState): void {
    this.#try(() => this.#document.write({ bootId: bootId() ?? '', ...state }));
  }

  /** Nothing is to be remembered. */
  remove(): void {
    this.#try(() => this.#document.remove());
  }

  #try(work: () => void): void {
    try {
      work();
    } catch (error) {
      // A full disk must not keep an instance from recovering; what it costs is the memory across a crash of ours.
      this.#log.warn(`${this.#instance}: its state could not be kept`, { error });
    }
  }
}
