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
    state: locked ? 'active' : 'waiting',
    createdAt: new Date(Number(timestamp)).toISOString(),
    ...(metadata === undefined ? {} : { metadata }),
    ...(isProgress(known) ? { progress: known } : {}),
  };
  const attempt = Number(made ?? 0) + 1;
  if (!finishedOn) return { status: base, attempt, at };
  // A job that succeeded after a retry still carries the reason of the attempt before.
  if (returnvalue) return { status: completed(base, parse(returnvalue) as JobResult), attempt, at };
  return { status: failed(base, failedReason ?? ''), attempt, at };
}

export const completed = (status: JobStatus, result: JobResult): JobStatus => ({
  ...status,
  state: 'completed',
  result,
});

export function failed(status: JobStatus, failedReason: string): JobStatus {
  const error = errorOf(failedReason);
  const state: JobState = error.code === JobCancelledError.code ? 'cancelled' : 'failed';
  return { ...status, state, error };
}

export const withProgress = (status: JobStatus, progress: JobProgress): JobStatus => ({ ...status, progress });

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
