import { gpuSelectionSchema } from '@mgpu/core';
import { z } from 'zod';

const ms = () => z.number().int().positive();

/** Configuration below `services.worker`. */
export const workerConfigSchema = z.strictObject({
  enabled: z.boolean().default(true).describe('Whether a worker feeds the engines of each GPU'),
  gpus: gpuSelectionSchema,
  connectors: z
    .union([z.literal('all'), z.array(z.string().min(1))])
    .default('all')
    .describe('Kinds of engines to feed: "all" there are, or a list such as [comfyui]'),
  concurrency: z
    .number()
    .int()
    .min(1)
    .max(64)
    .default(3)
    .describe('Jobs of one type in flight per engine: one runs, the next waits in the engine, results are stored'),
  attempts: z
    .number()
    .int()
    .min(1)
    .max(100)
    .default(3)
    .describe('How often a job is tried that does not say so itself'),
  retryDelayMs: ms().default(1_000).describe('Milliseconds before the second attempt; doubles with each further one'),
  drainMs: z
    .number()
    .int()
    .nonnegative()
    .default(30_000)
    .describe('Milliseconds running jobs have to end when the worker is stopped'),
  // Longer than it takes to see whether an engine answers: a job just taken is not looked after before.
  lockMs: ms()
    .min(3_000)
    .default(30_000)
    .describe('Milliseconds after which the jobs of a machine that fell silent go to another'),
  keepJobs: z
    .strictObject({
      count: z.number().int().positive().default(1_000).describe('Completed and failed jobs remembered, each'),
      ageMs: ms().default(86_400_000).describe('Milliseconds an ended job is remembered'),
    })
    .prefault({})
    .describe('What is kept of ended jobs in Redis'),
  prefix: z
    .string()
    .regex(/^[A-Za-z0-9_{}-]{1,64}$/)
    .default('mgpu')
    .describe('First part of every key in Redis; machines that share a queue share it'),
});

export type WorkerConfig = z.output<typeof workerConfigSchema>;
