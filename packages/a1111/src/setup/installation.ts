import { join } from 'node:path';
import { versionedFile } from '@mgpu/core';
import { z } from 'zod';
import { recipeSchema } from './recipe.ts';

/** Where the parts of an installation lie. */
export function installationFolders(dir: string) {
  const checkout = join(dir, 'webui');
  return {
    dir,
    checkout,
    repositories: join(checkout, 'repositories'),
    environment: join(dir, 'venv'),
    /** Versions of torch that everything else has to take as they are. */
    pins: join(dir, 'torch.txt'),
    /** What the installers of extensions were run for. */
    extensions: join(dir, 'extensions.json'),
    /** There as soon as it is whole. */
    manifest: join(dir, 'installation.json'),
    /** There until it is. */
    draft: join(dir, 'draft.json'),
  };
}

const manifestSchema = z.object({
  createdAt: z.iso.datetime(),
  recipe: recipeSchema,
  commit: z.string(),
  /** Commit by folder of each helper repository. */
  helpers: z.record(z.string(), z.string()),
  /** Index torch came from: a URL, or `packages`. */
  torchIndex: z.string(),
  pythonVersion: z.string(),
  /** Version by name of every installed package. */
  packages: z.record(z.string(), z.string()),
});

/** A checkout with its helper repositories and its Python environment, whole and seen to need nothing more. */
export type Installation = z.output<typeof manifestSchema> & { readonly id: string; readonly dir: string };

/** Undefined when there is none, or it is not whole. Throws `CORE_FILE_INVALID`, `CORE_FILE_VERSION`. */
export function readManifest(dir: string): z.output<typeof manifestSchema> | undefined {
  return versionedFile(installationFolders(dir).manifest, 1, manifestSchema).read();
}

export async function writeManifest(dir: string, manifest: z.output<typeof manifestSchema>): Promise<void> {
  await versionedFile(installationFolders(dir).manifest, 1, manifestSchema).write(manifest);
}
