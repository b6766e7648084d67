import type { z } from 'zod';

/** The value of a JSON text; undefined for what is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A JSON text as what it should be; otherwise throws what `fail` makes of the problem, in words. */
export function readJson<T>(schema: z.ZodType<T>, text: string, fail: (problem: string) => Error): T {
  const value = parseJson(text);
  if (value === undefined) throw fail(`it is not JSON: ${text.slice(0, 80)}`);
  return readValue(schema, value, fail);
}

/** The same of a value that was parsed already. */
export function readValue<T>(schema: z.ZodType<T>, value: unknown, fail: (problem: string) => Error): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw fail(`${issue?.path.join('.') || 'the answer'}: ${issue?.message}`);
}
