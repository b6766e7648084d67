import type { JobEvent, JobProgress } from '@mgpu/core';
import { bar } from './text.ts';

/** `[██████      ]  42 %  node 3, step 4 of 10` */
export function progressText({ percent, node, step, steps }: JobProgress): string {
  const where = [
    node && `node ${node}`,
    step !== undefined && steps !== undefined && steps > 1 && `step ${step} of ${steps}`,
  ]
    .filter(Boolean)
    .join(', ');
  return `${bar(percent)}  ${where}`.trimEnd();
}

/** One event of a job as one line, for logs. */
export function jobLine(event: JobEvent): string {
  if (event.event === 'state') return event.state;
  if (event.event === 'progress') return progressText(event.progress);
  if (event.event === 'preview') return `preview (${event.mediaType})`;
  return event.status.state;
}
