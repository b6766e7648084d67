import type { ErrorReport, JobProgress, JobResult, JobState, JobStatus } from '@mgpu/core/jobs';
import { JobCancelledError } from './errors.ts';
import { isProgress, type JobData } from './job-data.ts';
import { keyBase, publicId } from './job-names.ts';
import type { RedisLink } from './redis.ts';

const fields = ['timestamp', 'data', 'progress', 'returnvalue', 'failedReason', 'finishedOn', 'atm'] as const;

/** What is known of a job, and the number of the attempt it is in; undefined when there is no such job. */
export interface KnownJob {
  readonly status: JobStatus;
  readonly attempt: number;
  /** Position in the event stream up to which this is true. */
  readonly at: string;
}

/** Reads jobs of one queue in one round trip each. */
export async function readJob(
  link: RedisLink,
  prefix: string,
  type: string,
  id: string,
): Promise<KnownJob | undefined> {
  const key = keyBase(prefix, type) + id;
  const { values, locked, at } = await link.snapshot(key, fields, `${key}:lock`, `${keyBase(prefix, type)}events`);
  const [timestamp, data, progress, returnvalue, failedReason, finishedOn, made] = values;
  if (timestamp === null || timestamp === undefined) return undefined;
  const { metadata } = (parse(data) ?? {}) as JobData;
  const known = parse(progress);
  const base: JobStatus = {
    id: publicId(type, id),
    type,
    state: openState(locked),
    createdAt: createdAtOf(timestamp).toISOString(),
    ...(metadata === undefined ? {} : { metadata }),
    ...(isProgress(known) ? { progress: known } : {}),
  };
  const attempt = Number(made ?? 0) + 1;
  if (!finishedOn) return { status: base, attempt, at };
  // A job that succeeded after a retry still carries the reason of the attempt before.
  if (returnvalue) return { status: completed(base, parse(returnvalue) as JobResult), attempt, at };
  return { status: failed(base, failedReason ?? ''), attempt, at };
}

/** What decides whether a job is listed: without its input and its result, which are large. */
export interface JobSketch {
  readonly type: string;
  readonly id: string;
  readonly state: JobState;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

/** Of those of these jobs that there are, all at the same moment; the states are those that `readJob` would tell. */
export async function sketchJobs(
  link: RedisLink,
  prefix: string,
  type: string,
  ids: readonly string[],
): Promise<readonly JobSketch[]> {
  if (ids.length === 0) return [];
  const answers = await link.atOnce(
    ids.flatMap((id) => {
      const key = keyBase(prefix, type) + id;
      return [
        ['hmget', key, 'timestamp', 'failedReason', 'finishedOn'],
        ['hstrlen', key, 'returnvalue'],
        ['exists', `${key}:lock`],
      ];
    }),
  );
  return ids.flatMap((id, index) => {
    const [values, resultLength, locks] = answers.slice(3 * index, 3 * index + 3) as [
      (string | null)[],
      number,
      number,
    ];
    const [timestamp, failedReason, finishedOn] = values;
    if (timestamp === null || timestamp === undefined) return [];
    const ended = resultLength > 0 ? 'completed' : failedState(errorOf(failedReason ?? ''));
    const state = finishedOn ? ended : openState(locks === 1);
    return [{ type, id, state, createdAt: createdAtOf(timestamp).getTime() }];
  });
}

export const completed = (status: JobStatus, result: JobResult): JobStatus => ({
  ...status,
  state: 'completed',
  result,
});

export function failed(status: JobStatus, failedReason: string): JobStatus {
  const error = errorOf(failedReason);
  return { ...status, state: failedState(error), error };
}

export const withProgress = (status: JobStatus, progress: JobProgress): JobStatus => ({ ...status, progress });

const openState = (locked: boolean): JobState => (locked ? 'active' : 'waiting');

const failedState = ({ code }: ErrorReport): JobState => (code === JobCancelledError.code ? 'cancelled' : 'failed');

/** Other BullMQ clients may give a time that none is: such a job is older than any. */
function createdAtOf(timestamp: string): Date {
  const date = new Date(Number(timestamp));
  return Number.isNaN(date.getTime()) ? new Date(0) : date;
}

/** Jobs that other BullMQ workers failed have plain text instead of a report. */
function errorOf(failedReason: string): ErrorReport {
  const report = parse(failedReason) as Partial<ErrorReport> | undefined;
  if (typeof report?.code === 'string' && typeof report.message === 'string') return report as ErrorReport;
  return { code: 'CORE_UNEXPECTED', message: failedReason, retryable: false };
}

function parse(text: string | null | undefined): unknown {
  if (!text) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    // not ours, and taken for missing
    return undefined;
  }
}
