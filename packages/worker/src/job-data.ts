import { type JobProgress, jobRequestSchema } from '@mgpu/core/jobs';
import type { z } from 'zod';

/** What a job carries in Redis: the request without what the queue knows. Jobs of other BullMQ clients have to fit as well. */
export const jobDataSchema = jobRequestSchema.omit({ type: true, id: true });
export type JobData = z.input<typeof jobDataSchema>;

/** Redis holds what goes through it in memory: more than this belongs into a file. */
export const maxBytes = 1_000_000;

/** Size as JSON. Throws `TypeError` for what is none. */
export const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value) ?? '');

export function isProgress(value: unknown): value is JobProgress {
  return typeof value === 'object' && value !== null && 'percent' in value && typeof value.percent === 'number';
}
