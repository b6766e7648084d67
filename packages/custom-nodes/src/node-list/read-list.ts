import { describeIssues, type MgpuError } from '@mgpu/core';
import { expectGitRef, expectGitUrl } from '@mgpu/core/git';
import { z } from 'zod';
import { EntryInvalidError, ListInvalidError } from '../errors.ts';
import { type NodeEntry, nodeEntrySchema } from './entry.ts';

/** What a list says. One entry that cannot be used keeps no other from being used. */
export interface NodeList {
  readonly entries: readonly NodeEntry[];
  /** Entries that cannot be used, with the reason: `NODES_ENTRY_INVALID`, `CORE_GIT_URL`, `CORE_GIT_REF`. */
  readonly invalid: readonly { readonly name: string; readonly error: MgpuError }[];
  /** What is odd about it and was read all the same. */
  readonly warnings: readonly string[];
}

const entryJsonSchema = z.toJSONSchema(nodeEntrySchema, { io: 'input', unrepresentable: 'any' });

/**
 * Reads a node list: `{ "custom_nodes": […] }`, the bare array, or an object keyed by name. `source` names it in errors.
 * Throws `NODES_LIST_INVALID`.
 */
export function readNodeList(text: string, source = 'the list'): NodeList {
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (cause) {
    throw new ListInvalidError({ source, problems: [`not JSON (${(cause as Error).message})`] }, { cause });
  }
  const warnings: string[] = [];
  const entries: NodeEntry[] = [];
  const invalid: { name: string; error: MgpuError }[] = [];
  const names = new Set<string>();
  for (const { path, raw } of entriesOf(value, source, warnings)) {
    const { name, entry, error, odd } = readEntry(raw, path);
    warnings.push(...odd);
    if (entry === undefined) invalid.push({ name, error });
    else if (names.has(name)) {
      const problems = [`${path}.name: ${JSON.stringify(name)} is taken by an earlier entry`];
      invalid.push({ name: path, error: new EntryInvalidError({ name: path, problems }) });
    } else entries.push(entry);
    if (entry) names.add(name);
  }
  return { entries, invalid, warnings };
}

interface RawEntry {
  /** Where it stands in the file. */
  readonly path: string;
  readonly raw: unknown;
}

function entriesOf(value: unknown, source: string, warnings: string[]): RawEntry[] {
  const numbered = (list: readonly unknown[], prefix: string) =>
    list.map((raw, index) => ({ path: `${prefix}${index}`, raw }));
  if (Array.isArray(value)) return numbered(value, '');
  if (!isObject(value)) throw new ListInvalidError({ source, problems: [`it is ${kindOf(value)}`] });
  if ('custom_nodes' in value) {
    const { custom_nodes: list, ...rest } = value;
    const others = Object.keys(rest).filter((key) => key !== '$schema');
    warnings.push(...others.map((key) => `${key}: unknown key beside custom_nodes; it is ignored`));
    if (Array.isArray(list)) return numbered(list, 'custom_nodes.');
    if (!isObject(list)) throw new ListInvalidError({ source, problems: [`custom_nodes is ${kindOf(list)}`] });
    return keyed(list, 'custom_nodes.');
  }
  return keyed(value, '');
}

const keyed = (nodes: Readonly<Record<string, unknown>>, prefix: string): RawEntry[] =>
  Object.entries(nodes)
    .filter(([key]) => key !== '$schema')
    .map(([key, raw]) => ({ path: `${prefix}${key}`, raw: isObject(raw) ? { name: key, ...raw } : raw }));

type EntryReading = { readonly name: string; readonly odd: readonly string[] } & (
  | { readonly entry: NodeEntry; readonly error?: undefined }
  | { readonly entry?: undefined; readonly error: MgpuError }
);

function readEntry(raw: unknown, path: string): EntryReading {
  const described = (issues: readonly z.core.$ZodIssue[]) =>
    describeIssues(issues, { input: raw, jsonSchema: entryJsonSchema as never, origins: new Map() }).map(
      (problem) => `${path}.${problem}`,
    );
  const given = isObject(raw) && typeof raw.name === 'string' ? raw.name : path;
  const parsed = nodeEntrySchema.safeParse(raw);
  const isOdd = ({ code }: z.core.$ZodIssue) => code === 'unrecognized_keys';
  const odd = described(parsed.error?.issues.filter(isOdd) ?? []);
  const wrong = parsed.error?.issues.filter((issue) => !isOdd(issue)) ?? [];
  if (wrong.length > 0 || !isObject(raw)) {
    return { name: given, odd, error: new EntryInvalidError({ name: given, problems: described(wrong) }) };
  }
  const known = Object.entries(raw).filter(([key]) => key in nodeEntrySchema.shape);
  const entry = plain(nodeEntrySchema.parse(Object.fromEntries(known)));
  const url = entry.url.trim().replace(/^git\s+clone\s+/, '');
  const stray = url === entry.url.trim() ? [] : [`${path}.url: it begins with "git clone", which is left out`];
  try {
    expectGitUrl(url);
    for (const ref of [entry.commit, entry.branch]) if (ref !== undefined) expectGitRef(url, ref);
  } catch (error) {
    return { name: given, odd: [...odd, ...stray], error: error as MgpuError };
  }
  return { name: entry.name, odd: [...odd, ...stray], entry: { ...entry, url } };
}

/** Empty texts say nothing, as in the predecessors' lists. */
const plain = (entry: z.output<typeof nodeEntrySchema>): NodeEntry =>
  Object.fromEntries(Object.entries(entry).filter(([, value]) => value !== undefined && value !== '')) as never;

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'an array' : `a ${typeof value}`;
}

/** JSON Schema of `config_nodes.json`, for editors. */
export function nodeListJsonSchema(): z.core.JSONSchema.BaseSchema {
  const keyedEntry = nodeEntrySchema.partial({ name: true });
  const keyedEntries = z.record(z.string(), keyedEntry);
  const list = z.array(nodeEntrySchema);
  const whole = z.looseObject({ custom_nodes: z.union([list, keyedEntries]) });
  return z.toJSONSchema(z.union([whole, list, keyedEntries]), { io: 'input', unrepresentable: 'any' });
}
