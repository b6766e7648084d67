import { z } from 'zod';
import { A1111BadAnswerError } from '../errors.ts';

// What is relied on, and nothing more: versions, forks and extensions add to every answer.

export const recordSchema = z.record(z.string(), z.unknown());

export const generatedSchema = z.object({ images: z.array(z.string()).nullable(), info: z.string() });

export const upscaledSchema = z.object({ image: z.string() });

export const infoSchema = z.looseObject({
  all_seeds: z.array(z.number()).default([]),
  index_of_first_image: z.number().int().nonnegative().default(0),
});

export const progressSchema = z.object({
  progress: z.number(),
  eta_relative: z.number(),
  state: z.object({
    interrupted: z.boolean(),
    job: z.string(),
    job_count: z.number(),
    job_timestamp: z.string(),
    sampling_step: z.number(),
    sampling_steps: z.number(),
  }),
  current_image: z.string().nullish(),
});

export const checkpointsSchema = z.array(
  z.object({
    title: z.string(),
    model_name: z.string(),
    sha256: z.string().nullish(),
    filename: z.string(),
  }),
);

export const namesSchema = z.array(z.object({ name: z.string() }));

export const anythingSchema = z.unknown();

/** FastAPI's list of fields that are not what they must be; both versions of pydantic. */
export const problemsSchema = z.object({
  detail: z.array(z.object({ loc: z.array(z.union([z.string(), z.number()])), msg: z.string() })),
});

/** The one form of all other failures. */
export const failureSchema = z.object({
  error: z.string(),
  detail: z.unknown().optional(),
  errors: z.string().default(''),
});

/** The answer as what it should be; `A1111_BAD_ANSWER` otherwise. */
export function readAnswer<T>(schema: z.ZodType<T>, body: string, url: string): T {
  const value = parseJson(body);
  if (value === undefined) throw new A1111BadAnswerError({ url, problem: `it is not JSON: ${body.slice(0, 80)}` });
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new A1111BadAnswerError({ url, problem: `${issue?.path.join('.') || 'the answer'}: ${issue?.message}` });
}

/** Undefined for what is no JSON. */
export function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
