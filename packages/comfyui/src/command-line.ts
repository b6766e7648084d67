import { join } from 'node:path';
import { type Layout, sharedFolders } from '@mgpu/core';
import type { Engine } from './checkout.ts';
import { isMemoryFlag } from './config.ts';

/** Where one instance keeps what is its own, below `<root>/<instance>`. */
export function instanceFolders(layout: Layout, id: string) {
  const own = layout.instance(id);
  return {
    own,
    output: join(own, 'output'),
    /** ComfyUI makes `temp` inside the folder it is given, and wipes it at every start and stop. */
    temp: join(own, 'temp'),
    user: join(own, 'user'),
    workflows: join(own, 'user', 'default', 'workflows'),
    modelPaths: join(own, 'extra_model_paths.yaml'),
    database: join(own, 'user', 'comfyui.db'),
  };
}

export interface CommandLineOptions {
  readonly id: string;
  readonly layout: Layout;
  readonly port: number;
  readonly cpu: boolean;
  readonly args: readonly string[];
}

/** ComfyUI's arguments for one instance; on the CPU without the flags that `--cpu` excludes. */
export function commandLine(engine: Engine, { id, layout, port, cpu, args }: CommandLineOptions): string[] {
  const folders = instanceFolders(layout, id);
  return [
    ...engine.args,
    ...['--listen', '127.0.0.1', '--port', String(port), '--disable-auto-launch'],
    ...['--output-directory', folders.output, '--input-directory', sharedFolders(layout).input],
    ...['--temp-directory', folders.own, '--user-directory', folders.user],
    ...['--database-url', `sqlite:///${folders.database}`],
    ...['--extra-model-paths-config', folders.modelPaths],
    ...(cpu ? ['--cpu'] : []),
    ...args.filter((word) => !(cpu && isMemoryFlag(word))),
  ];
}
