import type { Layout } from '@mgpu/core';
import type { Engine } from './engine.ts';
import { instanceFolders, sharedFolders } from './folders.ts';

export interface CommandLineOptions {
  readonly id: string;
  readonly layout: Layout;
  readonly port: number;
  /** What it computes on; undefined leaves that to the program. */
  readonly on: 'cpu' | 'gpu' | undefined;
  readonly ui: boolean;
  readonly xformers: boolean;
  readonly noHalf: boolean;
  readonly checkpoints: string | undefined;
  readonly args: readonly string[];
}

/** Arguments of launch.py for one instance. They keep it from cloning, installing and downloading anything at a start. */
export function commandLine(engine: Engine, options: CommandLineOptions): string[] {
  const { id, layout, port, on, ui, xformers, noHalf, args } = options;
  const shared = sharedFolders(layout);
  const { data } = instanceFolders(layout, id);
  return [
    ...engine.args,
    ...['--skip-prepare-environment', '--skip-python-version-check', '--skip-version-check', '--no-download-sd-model'],
    ...['--api', ...(ui ? [] : ['--nowebui']), '--server-name', '127.0.0.1', '--port', String(port)],
    ...['--data-dir', data, '--models-dir', shared.models],
    ...['--ckpt-dir', options.checkpoints ?? shared.checkpoints, '--embeddings-dir', shared.embeddings],
    ...['--styles-file', shared.styles],
    ...(on === 'cpu' ? cpuFlags(engine) : []),
    // Its own GPU is the only one it sees, and so the first: `--device-id <index>` would be out of range on every other.
    ...(on === 'gpu' ? ['--device-id', '0'] : []),
    ...(xformers && on !== 'cpu' ? ['--xformers'] : []),
    ...(noHalf && on !== 'cpu' ? inFull : []),
    ...args,
  ];
}

const inFull = ['--no-half', '--precision', 'full'];

const cpuFlags = ({ isForge }: Engine) => [
  ...['--skip-torch-cuda-test', '--use-cpu', 'all', ...inFull],
  ...(isForge ? ['--always-cpu'] : []),
];
