import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { extname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parse as parseYaml } from 'yaml';
import type { AnyServiceDefinition } from '../definition/define-service.ts';
import { ConfigInvalidError, ConfigNotFoundError } from '../errors/core-errors.ts';
import { describeIssues } from './describe-issues.ts';
import { environmentBindings } from './environment.ts';
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
  const tree: Tree = path === undefined ? {} : await readConfigFile(path);
  const definitions = typeof known === 'function' ? await known(pluginNames(tree), path) : known;
  const origins = new Map<string, string>();
  const setOrigin = (keys: readonly string[], origin: string) => {
    // Whoever came last is to blame: it moves to the end.
    origins.delete(keys.join('.'));
    origins.set(keys.join('.'), origin);
  };
  for (const { name, path: keys, parse } of environmentBindings(definitions)) {
    const text = env[name];
    if (text === undefined || text === '') continue;
    const value = parse ? parse(text) : text;
    if (value === undefined) continue;
    merge(tree, keys.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) as Tree);
    setOrigin(keys, `environment variable ${name}`);
  }
  merge(tree, overrides);
  for (const keys of leavesOf(overrides)) setOrigin(keys, 'the command line');
  const parsed = composeConfigSchema(definitions).safeParse(tree);
  if (parsed.success) return { config: parsed.data, definitions, file: path };
  const problems = describeIssues(parsed.error.issues, {
    input: tree,
    jsonSchema: configJsonSchema(definitions),
    origins,
  });
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
    if (extname(path) === '.ts') content = ((await import(pathToFileURL(path).href)) as { default: unknown }).default;
    else content = parseYaml(await readFile(path, 'utf8'));
    // Our own copy: what is merged into it must not change the module it came from.
    content = structuredClone(content);
  } catch (cause) {
    const problem = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause);
    throw new ConfigInvalidError({ source: path, problems: [problem] }, { cause });
  }
  if (content === null || content === undefined) return {};
  if (isTree(content)) return withoutEmptyBlocks(content);
  throw new ConfigInvalidError({ source: path, problems: ['it must be a mapping of keys to values'] });
}

/** In YAML a block whose keys are all commented out is null; what was meant is a block without keys. */
function withoutEmptyBlocks({ services, ...rest }: Tree): Tree {
  const filled = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null));
  if (!isTree(services)) return services === null || services === undefined ? filled : { ...filled, services };
  return {
    ...filled,
    services: Object.fromEntries(Object.entries(services).map(([kind, block]) => [kind, block ?? {}])),
  };
}

/** The names alone, before anything is known to check them with; the schema complains about what is no name. */
function pluginNames({ plugins }: Tree): string[] {
  return Array.isArray(plugins) ? plugins.filter((each) => typeof each === 'string') : [];
}

const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null && !Array.isArray(value);

function leavesOf(tree: Tree, path: readonly string[] = []): string[][] {
  return Object.entries(tree).flatMap(([key, value]) =>
    isTree(value) ? leavesOf(value, [...path, key]) : [[...path, key]],
  );
}

function merge(into: Tree, from: Tree): void {
  for (const [key, value] of Object.entries(from)) {
    const present = into[key];
    if (isTree(present) && isTree(value)) merge(present, value);
    else if (value !== undefined) into[key] = value;
  }
}
