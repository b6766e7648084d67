import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type AnyServiceDefinition, type Layout, layoutOf, loadConfig, type MachineConfig } from '@mgpu/core';
import { comfyuiProgram } from '@mgpu/simulator';
import { PluginError } from './errors.ts';
import { definitions } from './services.ts';

/** What the command line and the environment say before any file is read. */
export interface SettingsOptions {
  readonly config?: string | undefined;
  readonly root?: string | undefined;
  /** Number of simulated GPUs. */
  readonly mock?: number | undefined;
  readonly overrides?: Record<string, unknown>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** Everything a daemon or a command needs to know of its machine. */
export interface Settings {
  readonly config: MachineConfig;
  readonly definitions: readonly AnyServiceDefinition[];
  readonly layout: Layout;
  readonly socketPath: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The configuration file that was read. */
  readonly file: string | undefined;
}

export async function loadSettings({
  config: file,
  root,
  mock,
  overrides = {},
  env,
  cwd,
}: SettingsOptions): Promise<Settings> {
  const gpu = mock === undefined ? undefined : { mode: 'mock', count: mock };
  const machine = { ...(overrides.machine as object | undefined), ...(gpu ? { gpu } : {}), ...(root ? { root } : {}) };
  const withPlugins = async (names: readonly string[]) => [...definitions, ...(await loadPlugins(names, cwd))];
  const loaded = await loadConfig({ definitions: withPlugins, file, cwd, env, overrides: { ...overrides, machine } });
  const layout = layoutOf(rootOf(loaded.config.machine.root, cwd));
  return { ...loaded, config: simulated(loaded.config), layout, socketPath: socketPathOf(layout), env };
}

/** Where the daemon of a root listens. */
export const socketPathOf = (layout: Layout) => join(layout.run, 'mgpu.sock');

function rootOf(root: string, cwd: string): string {
  if (root !== 'auto') return resolve(cwd, root);
  return existsSync('/workspace') ? '/workspace' : join(homedir(), '.mgpu');
}

/** With simulated GPUs the engines are simulators, unless a command of the user's own takes their place. */
function simulated(config: MachineConfig): MachineConfig {
  const { comfyui } = config.services;
  if (config.machine.gpu.mode !== 'mock' || comfyui === undefined || comfyui.command !== undefined) return config;
  const command = [process.execPath, comfyuiProgram()];
  return { ...config, services: { ...config.services, comfyui: { ...comfyui, command } } };
}

/** Definitions of the named packages, looked up from the working directory. */
async function loadPlugins(names: readonly string[], cwd: string): Promise<AnyServiceDefinition[]> {
  const { resolve: find } = createRequire(join(cwd, 'mgpu.config.yaml'));
  const loaded = await Promise.all(
    names.map(async (name) => {
      let exported: Record<string, unknown>;
      try {
        exported = (await import(pathToFileURL(find(name)).href)) as Record<string, unknown>;
      } catch (cause) {
        throw new PluginError({ name, problem: cause instanceof Error ? cause.message : String(cause) }, { cause });
      }
      const found = Object.values(exported).filter(isDefinition);
      if (found.length === 0) throw new PluginError({ name, problem: 'it exports no service definition' });
      return found;
    }),
  );
  return loaded.flat();
}

function isDefinition(value: unknown): value is AnyServiceDefinition {
  return typeof value === 'object' && value !== null && 'api' in value && 'kind' in value && 'create' in value;
}
