import { writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { layoutOf, readLog } from '@mgpu/core';
import { definitions } from '@mgpu/machine';
import type { Fleet, Program } from '../fleet.ts';
import { call, type Deployment, type Supervisor } from './supervisor.ts';

export interface Liveness {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly failures: number;
}

export interface MgpuOptions {
  /** When a service counts as hung. Default: as an engine does. */
  readonly liveness?: Liveness;
  /** Where it answers over HTTP. Default: nowhere. */
  readonly httpPort?: number;
}

const manifest = createRequire(import.meta.url).resolve('@mgpu/machine/package.json');
const command = join(manifest, '../bin/mgpu.js');
const plugin = pathToFileURL(join(import.meta.dirname, '../fleet-plugin.ts')).href;
const mostGpus = 64;
/** Whoever kills for the sake of measuring does it more often than a machine should have to restart. */
const watchdogBlock = { enabled: true, restartsPerMinute: 100_000 };

/** Without it nothing is restarted. */
export const hasWatchdog = definitions.some(({ kind }) => kind === 'watchdog');

export function mgpu(options: MgpuOptions = {}): Supervisor {
  return {
    name: 'mgpu',
    async deploy(fleet): Promise<Deployment> {
      const { config, root } = await configure(fleet, options);
      const mgpu = [process.execPath, command, '--root', root, '--config', config];
      return {
        start: () => call([...mgpu, 'up', '--detach'], fleet),
        status: () => call([...mgpu, 'status', '--json'], fleet),
        captured: () => capturedBy(root, 'fleet-a_gpu0'),
        stop: () => call([...mgpu, 'down'], fleet),
      };
    },
  };
}

/** The command line of a daemon in the foreground, with options for Node. */
export async function foreground(fleet: Fleet, nodeOptions: readonly string[], options: MgpuOptions = {}) {
  const { config, root } = await configure(fleet, options);
  const machine = ['--root', root, '--config', config];
  return {
    up: [process.execPath, ...nodeOptions, command, ...machine, 'up'],
    status: () => call([process.execPath, command, ...machine, 'status', '--json'], fleet),
  };
}

async function configure({ folder, programs }: Fleet, { liveness, httpPort }: MgpuOptions) {
  const kinds = Math.ceil(programs.length / mostGpus);
  const gpus = Math.ceil(programs.length / kinds);
  const block = (share: readonly Program[]) => ({
    enabled: share.length > 0,
    gpus: share.map((_, n) => n),
    programs: share.map(({ command, port }) => ({ command, ...(port === undefined ? {} : { port }) })),
    ...(liveness === undefined ? {} : { liveness }),
  });
  const others = definitions.map(({ kind }) => [kind, kind === 'watchdog' ? watchdogBlock : { enabled: false }]);
  const config = {
    machine: { id: 'bench', gpu: { mode: 'mock', count: gpus } },
    plugins: [plugin],
    services: {
      ...Object.fromEntries(others),
      ...(httpPort === undefined ? {} : { http: { port: httpPort } }),
      'fleet-a': block(programs.slice(0, gpus)),
      'fleet-b': block(programs.slice(gpus)),
    },
  };
  const file = join(folder, 'mgpu.config.json');
  await writeFile(file, JSON.stringify(config, undefined, 2));
  return { config: file, root: join(folder, 'root') };
}

/** Where the last line ends that the reader gives. */
async function capturedBy(root: string, instance: string): Promise<number> {
  const file = join(layoutOf(root).instance(instance), 'logs', 'output.log');
  let end = 0;
  for await (const line of readLog(file, { last: 1 })) end = line.end;
  return end;
}
