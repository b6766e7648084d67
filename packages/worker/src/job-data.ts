import type { JobProgress } from '@mgpu/core/jobs';

/** What a job carries in Redis; jobs of other BullMQ clients may lack everything but the input. */
export interface JobData {
  readonly v?: 1;
  readonly input?: unknown;
  readonly timeoutMs?: number | undefined;
  readonly metadata?: Readonly<Record<string, unknown>> | undefined;
}

export function isProgress(value: unknown): value is JobProgress {
  return typeof value === 'object' && value !== null && 'percent' in value && typeof value.percent === 'number';
}
