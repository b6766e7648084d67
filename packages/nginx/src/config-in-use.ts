import { readFile } from 'node:fs/promises';
import { ignore } from '@mgpu/core';

/** What of a configuration tells it from others and what it listens on, as `render` writes it. */
export interface ConfigInUse {
  readonly generation: string;
  readonly ports: readonly number[];
}

/** The configuration a former daemon left in use; undefined when it is gone, or none of ours. */
export async function readConfigInUse(file: string): Promise<ConfigInUse | undefined> {
  const text = await readFile(file, 'utf8').catch(ignore('ENOENT'));
  const generation = /location = \/status \{ return 200 "([^"]+)"; \}/.exec(text ?? '')?.[1];
  if (text === undefined || generation === undefined) return undefined;
  const ports = [...text.matchAll(/^ *listen \S+:(\d+) so_keepalive=on;$/gm)].map(([, port]) => Number(port));
  return { generation, ports };
}
