import * as z from 'zod/mini';
import { ApiError } from './api-error.ts';
import { readDuration } from './environment.ts';

const options = z.optional(z.record(z.string(), z.unknown()));
const duration = z.optional(z.union([z.number(), z.string()]));
const images = z.optional(z.array(z.string()));
const common = {
  model: z._default(z.string(), ''),
  stream: z.optional(z.boolean()),
  format: z.optional(z.union([z.string(), z.record(z.string(), z.unknown())])),
  options,
  keep_alive: duration,
  think: z.optional(z.union([z.boolean(), z.string()])),
};

export const generateSchema = z.looseObject({
  ...common,
  prompt: z._default(z.string(), ''),
  system: z.optional(z.string()),
  images,
});

export const chatSchema = z.looseObject({
  ...common,
  messages: z._default(z.array(z.looseObject({ role: z.string(), content: z._default(z.string(), ''), images })), []),
  tools: z.optional(z.array(z.looseObject({ function: z.looseObject({ name: z.string() }) }))),
});

export const embedSchema = z.looseObject({
  model: z._default(z.string(), ''),
  input: z.optional(z.unknown()),
  prompt: z.optional(z.string()),
  dimensions: z.optional(z.int()),
  options,
  keep_alive: duration,
});

export const modelSchema = z.looseObject({
  model: z.optional(z.string()),
  /** The old key. */
  name: z.optional(z.string()),
  stream: z.optional(z.boolean()),
});

export const copySchema = z.looseObject({ source: z.string(), destination: z.string() });

export const createSchema = z.looseObject({
  model: z._default(z.string(), ''),
  from: z.optional(z.string()),
  files: z.optional(z.record(z.string(), z.string())),
  stream: z.optional(z.boolean()),
});

export type GenerateRequest = z.output<typeof generateSchema>;
export type ChatRequest = z.output<typeof chatSchema>;
export type EmbedRequest = z.output<typeof embedSchema>;

/** Throws 400 as Go's JSON reader does, in its spirit. */
export function readRequest<T>(schema: z.ZodMiniType<T>, body: unknown): T {
  if (body === undefined) throw new ApiError(400, 'missing request body');
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = issue?.path.join('.') ?? '';
  throw new ApiError(400, `json: cannot unmarshal value into Go struct field .${field}: ${issue?.message ?? ''}`);
}

export function readKeepAlive(value: number | string | undefined, otherwise: number): number {
  if (value === undefined) return otherwise;
  const ms = readDuration(value);
  if (ms === undefined) throw new ApiError(400, `time: invalid duration "${value}"`);
  return ms;
}

/** Those a loaded model is bound to. */
const loadOptionNames = ['num_ctx', 'num_batch', 'num_gpu', 'main_gpu', 'use_mmap', 'num_thread'];

export const loadOptionsOf = (all: Readonly<Record<string, unknown>> = {}): Record<string, unknown> =>
  Object.fromEntries(loadOptionNames.filter((name) => name in all).map((name) => [name, all[name]]));
