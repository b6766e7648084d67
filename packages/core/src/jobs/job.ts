import { z } from 'zod';
import type { ErrorReport } from '../errors/mgpu-error.ts';
import type { JobProgress } from './connector.ts';

const jobType = z.string().regex(/^[a-z][a-z0-9-]{0,63}$/);

/** What a producer asks for. Version 1 of the envelope. */
export const jobRequestSchema = z.strictObject({
  v: z.literal(1).default(1).describe('Version of the envelope'),
  type: jobType.describe('Job type; the queue is `mgpu-<type>`'),
  // BullMQ takes no id that it could take for a number, and takes NaN for one.
  id: z
    .string()
    .regex(/^(?!(?:\d+|NaN)$)[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/)
    .optional()
    .describe(
      'Id within its queue: submitting the same again adds nothing, so that it is safe to repeat. Default: a new one',
    ),
  input: z.unknown().describe('What the connector of this type understands'),
  timeoutMs: z
    .number()
    .int()
    .positive()
    .max(86_400_000)
    .optional()
    .describe('Milliseconds the job may run, all attempts included. Default: no limit'),
  metadata: z.record(z.string(), z.unknown()).optional().describe('Kept with the job, never interpreted'),
});
export type JobRequest = z.input<typeof jobRequestSchema>;

/** One produced file, stored outside Redis under `artifacts/<job>/`. */
export const artifactSchema = z.object({
  name: z.string(),
  /** Absolute path on the machine that ran the job. */
  path: z.string(),
  mediaType: z.string(),
  bytes: z.number().int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  origin: z.record(z.string(), z.string()).optional(),
});
export type Artifact = z.infer<typeof artifactSchema>;

/** How long the parts of a job took, in milliseconds. */
export interface JobTimings {
  /** From submission to a worker taking it. */
  readonly queuedMs: number;
  /** From being taken to the last artifact stored. */
  readonly runMs: number;
  readonly totalMs: number;
}

export interface JobResult {
  readonly v: 1;
  readonly artifacts: readonly Artifact[];
  readonly timings: JobTimings;
  /** Id of the machine that ran it and has the artifacts. */
  readonly machine: string;
  /** Instance id of the engine, e.g. `comfyui_gpu0`. */
  readonly engine: string;
  /** Attempts it took, counted from 1. */
  readonly attempt: number;
  readonly output?: Readonly<Record<string, unknown>>;
}

export const jobStates = ['waiting', 'active', 'completed', 'failed', 'cancelled'] as const;
export type JobState = (typeof jobStates)[number];

/** What is known of a job. */
export interface JobStatus {
  readonly id: string;
  readonly type: string;
  readonly state: JobState;
  readonly progress?: JobProgress;
  readonly result?: JobResult;
  readonly error?: ErrorReport;
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** ISO time. */
  readonly createdAt: string;
}

/** What happens to a job, in order; the last one is `ended`. */
export type JobEvent =
  | { readonly event: 'state'; readonly state: 'waiting' | 'active'; readonly attempt?: number }
  | { readonly event: 'progress'; readonly progress: JobProgress }
  | { readonly event: 'preview'; readonly mediaType: string /** Base64. */; readonly data: string }
  | { readonly event: 'ended'; readonly status: JobStatus };

/** How many jobs of one type are in the queue, of all machines that share it. */
export interface QueueDepth {
  readonly type: string;
  readonly waiting: number;
  readonly active: number;
  /** Waiting for their next attempt. */
  readonly delayed: number;
  /** Failed or cancelled, of those that are kept. */
  readonly failed: number;
}

/** Which jobs are listed. */
export interface JobListOptions {
  /** Of none of them nothing is listed. */
  readonly types: readonly string[];
  /** Default: all. */
  readonly states?: readonly JobState[];
  /** How many at most, of all types together: 1 to 500. Default 50. */
  readonly limit?: number;
}

/** `JobListOptions` from outside, with its defaults. */
export const jobListSchema = z.strictObject({
  types: z.array(jobType),
  states: z.array(z.enum(jobStates)).default([...jobStates]),
  limit: z.number().int().min(1).max(500).default(50),
});

/** The producer's side of the queue: what control offers to clients, implemented by `@mgpu/worker`. */
export interface JobQueue {
  /** Resolves with the job's id when the queue has it. */
  submit(request: JobRequest): Promise<string>;
  /** `CORE_JOB_UNKNOWN` when there is no such job. */
  get(id: string): Promise<JobStatus>;
  /**
   * The newest jobs by `createdAt`, the newest first, each as `get` would tell of it. They are taken from the `limit` jobs, at
   * least, that came last into each state of each type: waiting that were put last into the queue, active that were taken last,
   * ended that ended last (failed and cancelled are one state here where both are asked for). One that is older in its state is
   * not listed, even where it was created later than one that is: of completed jobs, one that was done before `limit` others.
   */
  list(options: JobListOptions): Promise<readonly JobStatus[]>;
  /** Waiting: ends as cancelled without running. Running: the engine is interrupted. Ended: nothing. */
  cancel(id: string): Promise<void>;
  /** From the present state to `ended`; ends early only by the signal. */
  watch(id: string, options?: { signal?: AbortSignal }): AsyncIterable<JobEvent>;
  close(): Promise<void>;
}
