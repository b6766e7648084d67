import { readFile } from 'node:fs/promises';
import { type ConnectorBinding, reportError } from '@mgpu/core/jobs';
import { SettingsInvalidError } from './errors.ts';
import type { KeepJobs } from './queue.ts';

/** A connector as JSON: the endpoint's URL is text. */
export interface ConnectorSettings extends Omit<ConnectorBinding, 'endpoint'> {
  readonly endpoint: Omit<ConnectorBinding['endpoint'], 'url'> & { readonly url: string };
}

/** Everything the host program gets to know, in a file that only its user can read. */
export interface HostSettings {
  readonly v: 1;
  /** Instance id, e.g. `worker_gpu0`. */
  readonly worker: string;
  /** Name of this worker among all that share the Redis; its successor has the same. */
  readonly owner: string;
  /** Id of this machine, kept with each result. */
  readonly machine: string;
  readonly redis: string;
  readonly prefix: string;
  readonly connectors: readonly ConnectorSettings[];
  readonly artifactsDir: string;
  readonly statusFile: string;
  readonly concurrency: number;
  readonly attempts: number;
  readonly retryDelayMs: number;
  readonly drainMs: number;
  readonly lockMs: number;
  readonly keepJobs: KeepJobs;
}

export const toConnectorSettings = ({ endpoint, ...binding }: ConnectorBinding): ConnectorSettings => ({
  ...binding,
  endpoint: { ...endpoint, url: endpoint.url.href },
});

export const toConnectorBinding = ({ endpoint, ...settings }: ConnectorSettings): ConnectorBinding => ({
  ...settings,
  endpoint: { ...endpoint, url: new URL(endpoint.url) },
});

/** Throws `WORKER_SETTINGS_INVALID`. The service that starts us wrote it: beyond the version it is believed. */
export async function readSettings(path: string): Promise<HostSettings> {
  let settings: HostSettings;
  try {
    settings = JSON.parse(await readFile(path, 'utf8')) as HostSettings;
  } catch (cause) {
    throw new SettingsInvalidError({ path, problem: reportError(cause).message }, { cause });
  }
  if (settings.v !== 1) throw new SettingsInvalidError({ path, problem: `version ${String(settings.v)} instead of 1` });
  return settings;
}
