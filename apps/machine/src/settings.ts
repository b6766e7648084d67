import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { socketPathOf } from '@mgpu/control';
import {
  type AnyServiceDefinition,
  findConfigFile,
  type Layout,
  layoutOf,
  loadConfig,
  loadPlugins,
  type MachineConfig,
  readConfigFile,
  reportError,
  rootInEnvironment,
} from '@mgpu/core';
import { environmentNotices } from './environment-notices.ts';
import { RootUnknownError } from './errors.ts';
import { definitions, simulators } from './services.ts';

/** What the command line and the environment say before any file is read. */
export interface SettingsOptions {
  readonly config?: string | undefined;
  readonly root?: string | undefined;
  /** Number of simulated GPUs. They make a machine of their own: a shared queue in the configuration is left alone. */
  readonly mock?: number | undefined;
  /** `services:` that win over file and environment. */
  readonly services?: Readonly<Record<string, unknown>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** Where a machine lies and its daemon listens. */
export interface Location {
  readonly layout: Layout;
  readonly socketPath: string;
}

/** Everything a daemon or a command needs to know of its machine. */
export interface Settings extends Location {
  readonly config: MachineConfig;
  readonly definitions: readonly AnyServiceDefinition[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Folder that relative paths begin in. */
  readonly cwd: string;
  /** Number of simulated GPUs, where the command line asks for them. */
  readonly mock: number | undefined;
  /** The configuration file that was read. */
  readonly file: string | undefined;
  /** What is done otherwise than configured, for people. */
  readonly notices: readonly string[];
}

/** Throws `CORE_CONFIG_INVALID`, `CORE_CONFIG_NOT_FOUND`, `CORE_PLUGIN`. */
export async function loadSettings({
  config: file,
  root,
  mock,
  services = {},
  env,
  cwd,
}: SettingsOptions): Promise<Settings> {
  const gpu = mock === undefined ? {} : { gpu: { mode: 'mock', count: mock } };
  const machine = { ...gpu, ...(root ? { root } : {}) };
  const loaded = await loadConfig({
    definitions: async (names, found) => [
      ...definitions,
      ...(await loadPlugins(names, found === undefined ? [cwd] : [dirname(found), cwd])),
    ],
    file,
    cwd,
    env,
    overrides: { machine, services },
  });
  const { config, notices } = mock === undefined ? { config: loaded.config, notices: [] } : ownQueue(loaded.config);
  const location = locationOf(config.machine.root, cwd);
  return {
    ...loaded,
    ...location,
    config: simulated(config, location.layout),
    env,
    cwd,
    mock,
    notices: [...notices, ...environmentNotices(env, loaded.definitions)],
  };
}

/**
 * Where the machine is, and nothing else: a configuration that is wrong elsewhere must not keep anybody from looking at
 * what runs, or from stopping it. Throws `MACHINE_ROOT_UNKNOWN`.
 */
export async function locateMachine({ config: file, root, env, cwd }: SettingsOptions): Promise<Location> {
  return locationOf(root ?? rootInEnvironment(env) ?? (await rootInFile(cwd, file)), cwd);
}

async function rootInFile(cwd: string, file: string | undefined): Promise<string> {
  const source = findConfigFile(cwd, file);
  if (source === undefined) return 'auto';
  let content: Record<string, unknown>;
  try {
    content = await readConfigFile(source);
  } catch (cause) {
    throw new RootUnknownError({ source, problem: reportError(cause).message }, { cause });
  }
  const root = (content.machine as { root?: unknown } | undefined)?.root ?? 'auto';
  if (typeof root === 'string') return root;
  throw new RootUnknownError({ source, problem: `it is ${JSON.stringify(root)}, not the path of a folder` });
}

function locationOf(root: string, cwd: string): Location {
  const automatic = existsSync('/workspace') ? '/workspace' : join(homedir(), '.mgpu');
  const layout = layoutOf(root === 'auto' ? automatic : resolve(cwd, root));
  return { layout, socketPath: socketPathOf(layout) };
}

/** Simulated GPUs that somebody tries out must not take the jobs of those who share a queue, and answer with noise. */
function ownQueue(config: MachineConfig): Pick<Settings, 'config' | 'notices'> {
  const { url, ...redis } = config.services.redis ?? { enabled: false };
  if (url === undefined) return { config, notices: [] };
  const notice =
    'services.redis.url is ignored with --mock: simulated GPUs take no jobs from a shared queue (machine.gpu.mode: mock in the file lets them)';
  return { config: { ...config, services: { ...config.services, redis } }, notices: [notice] };
}

/** With simulated GPUs the engines are simulators, unless a command of the user's own takes their place. */
function simulated(config: MachineConfig, layout: Layout): MachineConfig {
  if (config.machine.gpu.mode !== 'mock') return config;
  const services = Object.entries(config.services).map(([kind, service]) => {
    const program = simulators[kind];
    if (program === undefined || service.command !== undefined) return [kind, service];
    return [kind, { ...service, command: [process.execPath, ...program(layout)] }];
  });
  return { ...config, services: Object.fromEntries(services) };
}
