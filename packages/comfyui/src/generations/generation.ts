import { join } from 'node:path';
import { versionedFile } from '@mgpu/core';
import { z } from 'zod';
import { recipeSchema } from './recipe.ts';

/** Where the parts of a generation lie. */
export function generationFolders(dir: string) {
  const checkout = join(dir, 'ComfyUI');
  return {
    dir,
    checkout,
    main: join(checkout, 'main.py'),
    requirements: join(checkout, 'requirements.txt'),
    nodes: join(checkout, 'custom_nodes'),
    environment: join(dir, 'venv'),
    /** What its node manager keeps: the lock file. */
    state: join(dir, 'nodes'),
    /** There as soon as it is whole. */
    manifest: join(dir, 'generation.json'),
    /** There until it is. */
    draft: join(dir, 'draft.json'),
  };
}

const generationSchema = z.object({
  /** Number and commit: `0003-2f35f4a`. */
  id: z.string(),
  createdAt: z.iso.datetime(),
  /** The one it was made from. */
  parent: z.string().optional(),
  recipe: recipeSchema,
  /** As the program says it. */
  version: z.string(),
  /** Python's version. */
  pythonVersion: z.string(),
  /** Version by name of every installed package. */
  packages: z.record(z.string(), z.string()),
  /** Module by name of every node class that it offered when it was verified, e.g. `custom_nodes.my-pack`. */
  nodeClasses: z.record(z.string(), z.string()),
  /** Custom nodes that it could not import then. */
  brokenNodes: z.array(z.string()),
});

/** A version of ComfyUI that is whole and was seen working: checkout, environment, custom nodes. */
export type Generation = z.output<typeof generationSchema> & { readonly dir: string };

/** Undefined when there is none, or it is not whole. Throws `CORE_FILE_INVALID`, `CORE_FILE_VERSION`. */
export function readGeneration(dir: string): Generation | undefined {
  const manifest = versionedFile(generationFolders(dir).manifest, 1, generationSchema).read();
  return manifest && { ...manifest, dir };
}

export async function writeGeneration({ dir, ...manifest }: Generation): Promise<void> {
  await versionedFile(generationFolders(dir).manifest, 1, generationSchema).write(manifest);
}

/** What is changed between two of them. */
export interface GenerationDiff {
  readonly commit?: Change;
  readonly version?: Change;
  readonly packages: Readonly<Record<string, Change>>;
  /** Classes that only one of them has, or that another module has now. */
  readonly nodeClasses: Readonly<Record<string, Change>>;
}

export interface Change {
  readonly from?: string;
  readonly to?: string;
}

export function diffGenerations(a: Generation, b: Generation): GenerationDiff {
  return {
    ...changed('commit', a.recipe.commit, b.recipe.commit),
    ...changed('version', a.version, b.version),
    packages: changesOf(a.packages, b.packages),
    nodeClasses: changesOf(a.nodeClasses, b.nodeClasses),
  };
}

const changed = (key: string, from: string, to: string) => (from === to ? {} : { [key]: { from, to } });

function changesOf(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): Record<string, Change> {
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])].toSorted();
  return Object.fromEntries(
    names.flatMap((name) => {
      const [from, to] = [a[name], b[name]];
      if (from === to) return [];
      return [[name, { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) }]];
    }),
  );
}
