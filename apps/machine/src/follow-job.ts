import type { JobEvent, JobQueue, JobStatus } from '@mgpu/core';

/** Waits for the end of a job. Throws the signal's reason when that fires first. */
export async function followJob(
  queue: JobQueue,
  id: string,
  onEvent: (event: JobEvent) => void,
  options: { readonly signal?: AbortSignal } = {},
): Promise<JobStatus> {
  for await (const event of queue.watch(id, options)) {
    onEvent(event);
    if (event.event === 'ended') return event.status;
  }
  options.signal?.throwIfAborted();
  return queue.get(id);
}
