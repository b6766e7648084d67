import type { z } from 'zod';
import { nearest } from '../errors/nearest.ts';
import { isSecretKey, redact, redacted } from '../logs/redact.ts';
import type { EnvironmentBinding } from './environment.ts';
import { childSchema, type JsonSchemaNode, knownKeys } from './json-schema.ts';

interface IssueContext {
  readonly input: unknown;
  readonly jsonSchema: JsonSchemaNode;
  /** By path: where a value came from. */
  readonly origins: ReadonlyMap<string, string>;
  /** Environment variables that could say what is missing. */
  readonly bindings?: readonly Pick<EnvironmentBinding, 'name' | 'path'>[];
}

/** Each problem in one clause: path, what is wrong, the value seen, a suggestion, and which variable it came from, or could. */
export function describeIssues(issues: readonly z.core.$ZodIssue[], context: IssueContext): string[] {
  return issues.flatMap((issue) => {
    const path = issue.path.map(String);
    if (issue.code === 'unrecognized_keys') {
      const node = path.reduce<JsonSchemaNode>((at, key) => childSchema(at, key) ?? {}, context.jsonSchema);
      const known = knownKeys(node);
      return issue.keys.map((key) => {
        const value = show([...path, key], context.input);
        return `${[...path, key].join('.')}: unknown key (value ${value})${suggest(key, known)}`;
      });
    }
    const value = show(path, context.input);
    const origin = [...context.origins].findLast(([prefix]) => `${path.join('.')}.`.startsWith(`${prefix}.`))?.[1];
    const message = `${issue.message.charAt(0).toLowerCase()}${issue.message.slice(1)}`;
    const settable = walkInput(context.input, path) === undefined ? variablesOf(path, context) : [];
    const source = origin ? ` from ${origin}` : settable.length > 0 ? `; ${settable.join(' or ')} sets it, too` : '';
    return [`${path.join('.') || 'the file'}: ${message}, got ${value}${source}`];
  });
}

const variablesOf = (path: readonly string[], { bindings = [] }: IssueContext) =>
  bindings.filter((each) => each.path.join('.') === path.join('.')).map(({ name }) => name);

/** `; did you mean "x"?`, or the known keys when nothing is near. */
function suggest(word: string, known: readonly string[]): string {
  if (known.length === 0) return '';
  const near = nearest(word, known);
  return near === undefined ? `; known are ${known.join(', ')}` : `; did you mean "${near}"?`;
}

function show(path: readonly string[], input: unknown): string {
  const given = walkInput(input, path);
  const value = given !== undefined && path.some(isSecretKey) ? redacted : redact(given);
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function walkInput(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], value);
}
