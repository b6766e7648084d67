import type { SupervisedInstance } from '@mgpu/core';

/**
 * Whether the present run was there at that time (milliseconds since the epoch): what happened before is no fault of its.
 * One whose state or health has changed since counts as new.
 */
export const wasRunning = ({ status: { state, since } }: SupervisedInstance, at: number): boolean =>
  state === 'running' && Date.parse(since) <= at;
