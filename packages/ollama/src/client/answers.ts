import { readJson, readValue } from '@mgpu/core/http-client';
import { z } from 'zod';
import { OllamaBadAnswerError } from '../errors.ts';

// What is relied on, and nothing more: versions add to every answer.

const count = z.number().optional();
const metrics = {
  total_duration: count,
  load_duration: count,
  prompt_eval_count: count,
  prompt_eval_duration: count,
  eval_count: count,
  eval_duration: count,
};
const part = { model: z.string(), done: z.boolean(), done_reason: z.string().optional(), ...metrics };

export const versionSchema = z.object({ version: z.string() });

const details = z.object({
  format: z.string().optional(),
  family: z.string().optional(),
  parameter_size: z.string().optional(),
  quantization_level: z.string().optional(),
});

export const tagsSchema = z.object({
  models: z.array(
    z.object({ name: z.string(), modified_at: z.string(), size: z.number(), digest: z.string(), details }),
  ),
});

export const psSchema = z.object({
  models: z.array(
    z.object({
      name: z.string(),
      size: z.number(),
      size_vram: z.number().default(0),
      digest: z.string(),
      expires_at: z.string(),
      context_length: z.number().optional(),
    }),
  ),
});

export const showSchema = z.object({
  details,
  capabilities: z.array(z.string()).default([]),
  template: z.string().optional(),
  parameters: z.string().optional(),
  model_info: z.record(z.string(), z.unknown()).default({}),
});

export const generatePartSchema = z.object({
  response: z.string().default(''),
  thinking: z.string().optional(),
  ...part,
});

export const chatPartSchema = z.object({
  message: z.object({
    role: z.string(),
    content: z.string().default(''),
    thinking: z.string().optional(),
    tool_calls: z
      .array(
        z.looseObject({
          function: z.looseObject({ name: z.string(), arguments: z.record(z.string(), z.unknown()).default({}) }),
        }),
      )
      .optional(),
  }),
  ...part,
});

export const embeddingsSchema = z.object({
  model: z.string(),
  embeddings: z.array(z.array(z.number())),
  ...metrics,
});

export const progressSchema = z.object({
  status: z.string(),
  digest: z.string().optional(),
  total: z.number().optional(),
  completed: z.number().optional(),
});

const errorSchema = z.object({ error: z.string() });

export const anythingSchema = z.unknown();

const bad = (url: string) => (problem: string) => new OllamaBadAnswerError({ url, problem });

/** The answer, or a line of it, as what it should be; `OLLAMA_BAD_ANSWER` otherwise. */
export const readAnswer = <T>(schema: z.ZodType<T>, text: string, url: string): T => readJson(schema, text, bad(url));

/** The same of a line that was parsed already. */
export const readPart = <T>(schema: z.ZodType<T>, value: unknown, url: string): T => readValue(schema, value, bad(url));

/** What went wrong, where that is what was answered. */
export function errorIn(value: unknown): string | undefined {
  const parsed = errorSchema.safeParse(value);
  return parsed.success ? parsed.data.error : undefined;
}
