import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { z } from 'zod';
import type { NodeClass } from './nodes/node.ts';

/** `simulator.json` in the folder of a custom node pack: what its Python would do at a start. */
const packSchema = z.strictObject({
  /** Names of its node classes; each gives the picture it gets. */
  nodes: z.array(z.string().min(1)).default([]),
  /** It cannot be imported, and this is what Python says. */
  fails: z.string().min(1).optional(),
});

export interface Pack {
  /** Its folder or file. */
  readonly path: string;
  readonly nodes: readonly NodeClass[];
  readonly fails?: string | undefined;
}

/** Throws what Zod or the file system says when its script cannot be understood. */
export function readPack(path: string): Pack {
  const script = join(path, 'simulator.json');
  if (!existsSync(script)) return { path, nodes: [] };
  const { nodes, fails } = packSchema.parse(JSON.parse(readFileSync(script, 'utf8')));
  return { path, fails, nodes: nodes.map((name) => passThrough(name, basename(path))) };
}

const passThrough = (name: string, pack: string): NodeClass => ({
  name,
  displayName: name,
  category: pack,
  module: `custom_nodes.${pack}`,
  outputs: ['IMAGE'],
  inputs: () => ({ required: { image: ['IMAGE'] } }),
  run: ({ image }) => ({ outputs: [image] }),
});
