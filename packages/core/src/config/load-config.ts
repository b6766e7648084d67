import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { extname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { AnyServiceDefinition } from '../definition/define-service.ts';
import { ConfigInvalidError, ConfigNotFoundError } from '../errors/core-errors.ts';
import { describeIssues } from './describe-issues.ts';
import { environmentBindings } from './environment.ts';
import { childSchema, type JsonSchemaNode } from './json-schema.ts';
import { composeConfigSchema, configJsonSchema, type MachineConfig } from './machine-config.ts';

const fileNames = ['mgpu.config.yaml', 'mgpu.config.yml', 'mgpu.config.json', 'mgpu.config.ts'];

type Tree = Record<string, unknown>;

export interface LoadConfigOptions {
  /** What may be configured; a function gets the packages named under `plugins:` and the file's path, and adds theirs. */
  readonly definitions:
    | readonly AnyServiceDefinition[]
    | ((plugins: readonly string[], file: string | undefined) => Promise<readonly AnyServiceDefinition[]>);
  /** The file; default: the first `mgpu.config.{yaml,yml,json,ts}` in `cwd`, none is fine. */
  readonly file?: string | undefined;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** From the command line; wins over everything. */
  readonly overrides?: Tree;
}

export interface LoadedConfig {
  readonly config: MachineConfig;
  readonly definitions: readonly AnyServiceDefinition[];
  /** Absolute path of the file that was read. */
  readonly file: string | undefined;
}

/**
 * The configuration: overrides > environment > file > defaults. Throws `CORE_CONFIG_INVALID` with every problem (path,
 * value, suggestion, where it came from) and `CORE_CONFIG_NOT_FOUND` for a named file that is not there.
 */
export async function loadConfig({
  definitions: known,
  file,
  cwd,
  env,
  overrides = {},
}: LoadConfigOptions): Promise<LoadedConfig> {
  const path = findConfigFile(cwd, file);
  const content: Tree = path === undefined ? {} : await readConfigFile(path);
  const definitions = typeof known === 'function' ? await known(pluginNames(content), path) : known;
  let described: JsonSchemaNode | undefined;
  // Made when something has to be explained by it: it takes as long as everything else here.
  const schema = () => (described ??= configJsonSchema(definitions) as JsonSchemaNode);
  const tree = withoutEmptyBlocks(content, schema);
  const origins = new Map<string, string>();
  const problems: string[] = [];
  const add = (values: Tree, origin: string) => {
    merge(tree, values);
    for (const leaf of leavesOf(values)) {
      // Whoever came last is to blame: it moves to the end.
      origins.delete(leaf.join('.'));
      origins.set(leaf.join('.'), origin);
    }
  };
  const bindings = environmentBindings(definitions);
  for (const { name, path: keys, parse = (text: string): unknown => text } of bindings) {
    const text = env[name];
    if (text === undefined || text === '') continue;
    const origin = `environment variable ${name}`;
    try {
      const value = parse(text, tree);
      if (value !== undefined) add(treeOf(keys, value), origin);
    } catch (error) {
      const issue = { code: 'custom' as const, path: [...keys], message: messageOf(error) };
      const context = { input: treeOf(keys, text), jsonSchema: schema(), origins: new Map([[keys.join('.'), origin]]) };
      problems.push(...describeIssues([issue], context));
    }
  }
  add(overrides, 'the command line');
  const parsed = composeConfigSchema(definitions).safeParse(tree);
  if (parsed.success && problems.length === 0) return { config: parsed.data, definitions, file: path };
  problems.push(
    ...describeIssues(parsed.error?.issues ?? [], { input: tree, jsonSchema: schema(), origins, bindings }),
  );
  throw new ConfigInvalidError({ source: path ?? 'defaults and environment', problems });
}

/** Absolute path of the named file, else of the first of ours in the folder; undefined when there is none. */
export function findConfigFile(cwd: string, file?: string): string | undefined {
  return file === undefined ? fileNames.map((name) => join(cwd, name)).find(existsSync) : resolve(cwd, file);
}

/** Where the file's content comes from is its ending's business; what it may say is the schema's. Throws `CORE_CONFIG_NOT_FOUND`, `CORE_CONFIG_INVALID`. */
export async function readConfigFile(path: string): Promise<Tree> {
  if (!existsSync(path)) throw new ConfigNotFoundError({ path });
  let content: unknown;
  try {
    if (extname(path) === '.ts') content = await defaultExport(path);
    else content = await parseText(await readFile(path, 'utf8'));
    // Our own copy: what is merged into it must not change the module it came from.
    content = structuredClone(content);
  } catch (cause) {
    throw new ConfigInvalidError({ source: path, problems: [messageOf(cause)] }, { cause });
  }
  if (content === null) return {};
  if (isTree(content)) return content;
  throw new ConfigInvalidError({ source: path, problems: ['it must be a mapping of keys to values'] });
}

/** YAML, of which JSON is a part that is read in a tenth of the time; of one that has a mistake YAML says where. */
async function parseText(text: string): Promise<unknown> {
  const json = plainJson(text);
  return json === undefined ? (await import('yaml')).parse(text) : json;
}

/** Undefined for what is no JSON, or has a key twice. */
function plainJson(text: string): unknown {
  try {
    const content: unknown = JSON.parse(text);
    const written = [...text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?/g)].filter(([, colon]) => colon !== undefined).length;
    return written === keysIn(content) ? content : undefined;
  } catch {
    return undefined;
  }
}

function keysIn(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const inner = Object.values(value).reduce<number>((sum, each) => sum + keysIn(each), 0);
  return inner + (Array.isArray(value) ? 0 : Object.keys(value).length);
}

async function defaultExport(path: string): Promise<unknown> {
  const module: Record<string, unknown> = await import(pathToFileURL(path).href);
  if (!('default' in module)) throw new TypeError('it exports nothing by default; write `export default { … }`');
  return module.default;
}

/** In YAML a block whose keys are all commented out is null; what was meant is a block without keys. */
function withoutEmptyBlocks(tree: Tree, schema: () => JsonSchemaNode): Tree {
  return Object.fromEntries(
    Object.entries(tree).flatMap(([key, value]) => {
      const child = () => childSchema(schema(), key) ?? {};
      if (value === null && ['object', 'array'].includes(child().type ?? '')) return [];
      return [[key, isTree(value) ? withoutEmptyBlocks(value, child) : value]];
    }),
  );
}

/** The names alone, before anything is known to check them with; the schema complains about what is no name. */
function pluginNames({ plugins }: Tree): string[] {
  return Array.isArray(plugins) ? plugins.filter((each) => typeof each === 'string') : [];
}

const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null && !Array.isArray(value);

const treeOf = (keys: readonly string[], value: unknown) =>
  keys.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) as Tree;

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';

function leavesOf(tree: Tree, path: readonly string[] = []): string[][] {
  return Object.entries(tree).flatMap(([key, value]) =>
    isTree(value) ? leavesOf(value, [...path, key]) : [[...path, key]],
  );
}

function merge(into: Tree, from: Tree): void {
  for (const [key, value] of Object.entries(from)) {
    const present = into[key];
    if (isTree(present) && isTree(value)) merge(present, value);
    // What stands where a mapping belongs stays, for the schema to refuse.
    else if (value !== undefined && !(isTree(value) && present !== undefined)) into[key] = value;
  }
}
