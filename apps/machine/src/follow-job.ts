import { type JobEvent, type JobQueue, type JobStatus, reviveError } from '@mgpu/core';
import { JobFailedError } from './errors.ts';

/** Waits for the end of a job. Throws the signal's reason when that fires first. */
export async function followJob(
  queue: JobQueue,
  id: string,
  onEvent: (event: JobEvent) => void,
  signal: AbortSignal,
): Promise<JobStatus> {
  for await (const event of queue.watch(id, { signal })) {
    onEvent(event);
    if (event.event === 'ended') return event.status;
  }
  throw signal.reason; // nothing else ends a watch early
}

/** Why a job that ended has no result. */
export const failureOf = ({ id, state, error }: JobStatus): Error =>
  error ? reviveError(error) : new JobFailedError({ job: id, state });
