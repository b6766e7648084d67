import { basename, dirname, resolve } from 'node:path';
import type { ParsedFlags } from '../python/argparse.ts';
import { parseArguments } from './flags.ts';
import type { LogLevel } from './log.ts';
import { isSince } from './version.ts';

export type PreviewMethod = 'none' | 'auto' | 'latent2rgb' | 'taesd';
export type CacheMode = { kind: 'classic' } | { kind: 'lru'; size: number } | { kind: 'none' };

/** What the simulator makes of ComfyUI's command line. Flags without an effect here are accepted and only echoed in `argv`. */
export interface Options {
  /** As Python's `sys.argv`. */
  readonly argv: readonly string[];
  readonly listen: readonly string[];
  readonly port: number;
  readonly baseDirectory: string;
  /** `--base-directory` was given: then `custom_nodes` below it must exist. */
  readonly customBase: boolean;
  readonly outputDirectory: string;
  readonly inputDirectory: string;
  readonly tempDirectory: string;
  readonly userDirectory: string;
  readonly modelsDirectory: string;
  /** Those of the folders above that have a flag of their own on the command line. */
  readonly givenFolders: ReadonlySet<'output' | 'input' | 'temp' | 'user'>;
  readonly extraModelPaths: readonly string[];
  readonly frontEndRoot: string | undefined;
  readonly cpu: boolean;
  readonly cudaDevice: string | undefined;
  readonly previewMethod: PreviewMethod;
  readonly previewSize: number;
  readonly cache: CacheMode;
  readonly maxUploadBytes: number;
  readonly cors: string | undefined;
  readonly metadata: boolean;
  readonly printServer: boolean;
  readonly logStdout: boolean;
  readonly logLevel: LogLevel;
  readonly quickTest: boolean;
  readonly customNodes: 'all' | readonly string[];
  readonly apiNodes: boolean;
  readonly assets: boolean;
  /** Undefined for a database in memory. */
  readonly databaseFile: string | undefined;
}

/** Reads what follows the program name; a first `main.py` (with any folder) names the install folder. Throws UsageError. */
export function readOptions(args: readonly string[], version: string, cwd: string): Options {
  const script = args[0] !== undefined && basename(args[0]) === 'main.py' ? args[0] : undefined;
  const tokens = script === undefined ? args : args.slice(1);
  const flags = parseArguments(tokens, version);
  const has = (name: string) => flags.has(name);
  const value = (name: string) => flags.get(name)?.[0];
  const path = (name: string) => (has(name) ? resolve(cwd, value(name) as string) : undefined);
  const install = script === undefined ? cwd : dirname(resolve(cwd, script));
  const base = path('--base-directory') ?? install;
  const user = path('--user-directory') ?? resolve(base, 'user');
  const databaseFolder = isSince(version, '0.38.0') ? user : resolve(install, 'user');
  const databaseUrl = value('--database-url') ?? `sqlite:///${databaseFolder}/comfyui.db`;
  return {
    argv: [script ?? 'main.py', ...tokens],
    listen: (has('--listen') ? (value('--listen') ?? '0.0.0.0,::') : '127.0.0.1').split(','),
    port: Number(value('--port') ?? 8188),
    baseDirectory: base,
    customBase: has('--base-directory'),
    outputDirectory: path('--output-directory') ?? resolve(base, 'output'),
    inputDirectory: path('--input-directory') ?? resolve(base, 'input'),
    tempDirectory: resolve(path('--temp-directory') ?? base, 'temp'),
    userDirectory: user,
    modelsDirectory: path('--models-directory') ?? resolve(base, 'models'),
    givenFolders: new Set((['output', 'input', 'temp', 'user'] as const).filter((name) => has(`--${name}-directory`))),
    extraModelPaths: (flags.get('--extra-model-paths-config') ?? []).map((file) => resolve(cwd, file)),
    frontEndRoot: path('--front-end-root'),
    cpu: has('--cpu'),
    cudaDevice: value('--cuda-device'),
    previewMethod: (value('--preview-method') ?? 'none') as PreviewMethod,
    previewSize: Number(value('--preview-size') ?? 512),
    cache: cacheMode(flags),
    maxUploadBytes: Number(value('--max-upload-size') ?? 100) * 1024 * 1024,
    cors: has('--enable-cors-header') ? (value('--enable-cors-header') ?? '*') : undefined,
    metadata: !has('--disable-metadata'),
    printServer: !has('--dont-print-server'),
    logStdout: has('--log-stdout'),
    logLevel: (has('--verbose') ? (value('--verbose') ?? 'DEBUG') : 'INFO') as LogLevel,
    quickTest: has('--quick-test-for-ci'),
    customNodes: has('--disable-all-custom-nodes') ? (flags.get('--whitelist-custom-nodes') ?? []) : 'all',
    apiNodes: !has('--disable-api-nodes') && !has('--disable-partner-nodes') && !has('--offline'),
    assets: has('--enable-assets') || (isSince(version, '0.38.0') && !has('--disable-assets')),
    databaseFile: databaseUrl.endsWith(':memory:')
      ? undefined
      : resolve(cwd, databaseUrl.replace(/^sqlite:\/\/\//, '')),
  };
}

function cacheMode(flags: ParsedFlags): CacheMode {
  if (flags.has('--cache-none')) return { kind: 'none' };
  if (flags.has('--cache-lru')) return { kind: 'lru', size: Number(flags.get('--cache-lru')?.[0]) };
  return { kind: 'classic' };
}
