import { readJson } from '@mgpu/core/http-client';
import { z } from 'zod';
import { ComfyUIBadAnswerError } from '../errors.ts';

// What is relied on, and nothing more: versions and custom nodes add to every answer.

const record = z.record(z.string(), z.unknown());

export const submissionSchema = z.object({
  prompt_id: z.string(),
  number: z.number(),
  node_errors: record.optional(),
});

export const refusalSchema = z.object({
  error: z.union([
    z.string(),
    z.looseObject({
      message: z.string().optional(),
      details: z.string().optional(),
      extra_info: z
        .looseObject({ node_id: z.string().optional(), class_type: z.string().optional() })
        .optional()
        .catch(undefined),
    }),
  ]),
  node_errors: z.unknown().optional(),
});

export const historySchema = z.record(
  z.string(),
  z.object({
    outputs: z.record(z.string(), record),
    status: z.object({
      status_str: z.string(),
      completed: z.boolean(),
      messages: z.array(z.tuple([z.string(), record])).default([]),
    }),
  }),
);

const queueItem = z.tuple([z.number(), z.string()], z.unknown());
export const queueSchema = z.object({ queue_running: z.array(queueItem), queue_pending: z.array(queueItem) });

export const execInfoSchema = z.object({ exec_info: z.object({ queue_remaining: z.number() }) });

export const uploadSchema = z.object({ name: z.string(), subfolder: z.string().default(''), type: z.string() });

export const statsSchema = z.object({
  system: z.object({ comfyui_version: z.string().optional(), argv: z.array(z.string()) }).loose(),
  devices: z.array(record),
});

export const recordSchema = record;

/** The answer as what it should be; `COMFYUI_BAD_ANSWER` otherwise. */
export const readAnswer = <T>(schema: z.ZodType<T>, body: string, url: string): T =>
  readJson(schema, body, (problem) => new ComfyUIBadAnswerError({ url, problem }));
