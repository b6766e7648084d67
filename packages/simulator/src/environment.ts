import type { z } from 'zod/mini';

/**
 * Reads one JSON environment variable against its schema. The message names the variable and every offending key, since
 * a misspelt fault that is silently ignored makes a test pass for the wrong reason.
 */
export function parseJsonVariable<T>(name: string, text: string | undefined, schema: z.ZodMiniType<T>): T {
  return parseScript(name, text === undefined || text === '' ? {} : readJson(name, text), schema);
}

/** Validates a value that came from outside; throws an Error that lists path and reason of each problem. */
export function parseScript<T>(name: string, value: unknown, schema: z.ZodMiniType<T>): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => {
    const path = issue.path.join('.');
    if (issue.code === 'unrecognized_keys')
      return `unknown key ${issue.keys.map((key) => [...issue.path, key].join('.')).join(', ')}`;
    return `${path || 'value'}: ${issue.message || issue.code}`;
  });
  throw new Error(`${name}: ${problems.join('; ')}`);
}

function readJson(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${name}: not JSON: ${(error as Error).message}`);
  }
}
