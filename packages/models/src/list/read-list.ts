import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { describeIssues, ignore, type Layout, MgpuError } from '@mgpu/core';
import { z } from 'zod';
import { EntryInvalidError, ListInvalidError } from '../errors.ts';
import { folderFor, isFolder, modelPath } from '../place.ts';
import { type ModelEntry, modelEntrySchema } from './entry.ts';

/** What a list says. One entry that cannot be used keeps no other from being used. */
export interface ModelList {
  readonly entries: readonly ModelEntry[];
  /** Entries that cannot be used, with the reason: `MODELS_ENTRY_INVALID`, `MODELS_PATH`. */
  readonly invalid: readonly { readonly name: string; readonly error: MgpuError }[];
  /** What is odd about it and was read all the same. */
  readonly warnings: readonly string[];
}

export const emptyList: ModelList = { entries: [], invalid: [], warnings: [] };

/** Where the list lies; the first of the default names that is there, or the first one. */
export function modelListPath(
  { list }: { readonly list?: string | undefined },
  { shared }: Pick<Layout, 'shared'>,
): string {
  if (list !== undefined) return list;
  const names = ['models.yaml', 'models.yml', 'models.json'].map((name) => join(shared, name));
  return names.find(existsSync) ?? join(shared, 'models.yaml');
}

/** Reads a list file; undefined when there is none. Throws `MODELS_LIST_INVALID`. */
export async function readListFile(path: string): Promise<ModelList | undefined> {
  const text = await readFile(path, 'utf8').catch(ignore('ENOENT'));
  return text === undefined ? undefined : await readModelList(text, path);
}

/**
 * Reads a list in YAML or JSON: `{ models: […] }` or the bare array; entries of the predecessors (`downloadUrl`, `saveTo`,
 * `modelType`, `hash`) as well. `source` names it in errors. Throws `MODELS_LIST_INVALID`.
 */
export async function readModelList(text: string, source = 'the list'): Promise<ModelList> {
  const { parse } = await import('yaml');
  let value: unknown;
  try {
    value = parse(text.replace(/^\uFEFF/, ''));
  } catch (cause) {
    const problem = (cause as Error).message.split('\n')[0] ?? '';
    throw new ListInvalidError({ source, problems: [`neither YAML nor JSON (${problem})`] }, { cause });
  }
  if (value === null || value === undefined) return emptyList;
  const models = isObject(value) ? (value.models ?? []) : value;
  if (!Array.isArray(models)) throw new ListInvalidError({ source, problems: ['its models are no array'] });
  const entries: ModelEntry[] = [];
  const invalid: { name: string; error: MgpuError }[] = [];
  const warnings: string[] = [];
  const taken = new Set<string>();
  for (const [index, raw] of models.entries()) {
    const at = `models.${index}`;
    const name = nameOf(raw) ?? at;
    try {
      const entry = entryOf(raw, at, warnings);
      if (entry.path !== undefined && taken.has(entry.path)) {
        throw new EntryInvalidError({ name, problems: [`${at}: ${entry.path} is an earlier entry's place`] });
      }
      if (entry.path !== undefined) taken.add(entry.path);
      entries.push(entry);
    } catch (error) {
      if (!(error instanceof MgpuError)) throw error;
      invalid.push({ name, error });
    }
  }
  return { entries, invalid, warnings };
}

const entryJsonSchema = z.toJSONSchema(modelEntrySchema, { io: 'input', unrepresentable: 'any' });

/** An entry that somebody wrote. Throws `MODELS_ENTRY_INVALID`, `MODELS_PATH`. */
export function entryOf(raw: unknown, at = 'the model', warnings: string[] = []): ModelEntry {
  const today = isObject(raw) ? modernised(raw, at, warnings) : raw;
  const parsed = modelEntrySchema.safeParse(today);
  const described = (issues: readonly z.core.$ZodIssue[]) =>
    describeIssues(issues, { input: today, jsonSchema: entryJsonSchema as never, origins: new Map() }).map(
      (problem) => `${at}.${problem}`,
    );
  const isOdd = ({ code }: z.core.$ZodIssue) => code === 'unrecognized_keys';
  const wrong = parsed.error?.issues.filter((issue) => !isOdd(issue)) ?? [];
  if (wrong.length > 0 || !isObject(today)) {
    throw new EntryInvalidError({ name: nameOf(raw) ?? at, problems: described(wrong) });
  }
  warnings.push(...described(parsed.error?.issues.filter(isOdd) ?? []));
  const known = Object.entries(today).filter(([key]) => key in modelEntrySchema.shape);
  const entry = modelEntrySchema.parse(Object.fromEntries(known));
  const { url, name, type, size, sha256, aliases = [], ...flags } = entry;
  const isBareName = entry.path !== undefined && !entry.path.includes('/') && !isFolder(entry.path);
  const path = isBareName ? `${folderFor(entry.path ?? '', type)}/${entry.path}` : entry.path;
  const fileName = name?.includes('.') ? name : undefined;
  const isFile = path !== undefined && !isFolder(path);
  const folder = modelPath(isFile ? posix.dirname(path) : (path ?? folderFor(name ?? url, type)));
  const whole = isFile ? modelPath(path) : (fileName ?? nameInUrl(url));
  const place = isFile || whole === undefined ? whole : modelPath(`${folder}/${whole}`);
  return {
    url,
    folder,
    ...(place === undefined ? {} : { path: place }),
    ...(size === undefined ? {} : { size }),
    ...(sha256 === undefined ? {} : { sha256 }),
    aliases: aliases.map((alias) => modelPath(`${folder}/${alias}`)),
    isForTests: flags.test === true,
    isProtected: flags.protected === true,
  };
}

/** The file's name at the end of an address, where that has one; Civitai's have numbers. */
function nameInUrl(url: string): string | undefined {
  const [, path = ''] = /^[a-z0-9]+:\/\/[^/?#]*([^?#]*)/i.exec(url) ?? [];
  const last = path.split('/').at(-1) ?? '';
  if (!last.includes('.')) return undefined;
  try {
    return decodeURIComponent(last);
  } catch {
    return last;
  }
}

const formerKeys: Readonly<Record<string, string>> = {
  downloadUrl: 'url',
  saveTo: 'path',
  modelType: 'type',
  hash: 'sha256',
};
/** What the predecessors' entries have beside that, and nobody needs. */
const idleKeys = new Set(['id', 'isRequired', 'version', 'createdAt', 'updatedAt']);

/** Today's keys of a predecessor's entry. */
function modernised(raw: Readonly<Record<string, unknown>>, at: string, warnings: string[]): Record<string, unknown> {
  const isFormer = 'downloadUrl' in raw;
  const pairs = Object.entries(raw)
    .filter(([key, value]) => value !== null && value !== '' && !(isFormer && idleKeys.has(key)))
    .map(([key, value]) => [formerKeys[key] ?? key, value] as const);
  const entry = Object.fromEntries(pairs);
  if (isFormer && typeof entry.sha256 === 'string' && !/^[0-9a-f]{64}$/i.test(entry.sha256)) {
    warnings.push(`${at}.hash: it is no SHA-256 and not checked`);
    delete entry.sha256;
  }
  if (isFormer && typeof entry.size === 'string' && /^\d+$/.test(entry.size)) entry.size = Number(entry.size);
  return entry;
}

const nameOf = (raw: unknown): string | undefined => {
  if (!isObject(raw)) return undefined;
  const { name, path, url } = raw;
  return [name, path, url].find((each): each is string => typeof each === 'string');
};

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** JSON Schema of the list, for editors. */
export function modelListJsonSchema(): z.core.JSONSchema.BaseSchema {
  const list = z.array(modelEntrySchema);
  return z.toJSONSchema(z.union([z.looseObject({ models: list }), list]), { io: 'input', unrepresentable: 'any' });
}
