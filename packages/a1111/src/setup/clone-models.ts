import { readdir, rmdir } from 'node:fs/promises';
import { ignoreMissing, type Layout, type Logger, reportError } from '@mgpu/core';
import { Git } from '@mgpu/core/git';
import { sharedFolders } from '../folders.ts';

/** Brings the tree of models from a repository, where nothing is yet. Models can come otherwise: a failure is a warning. */
export async function cloneModels(
  { repository, ref }: { readonly repository: string; readonly ref?: string | undefined },
  options: {
    readonly layout: Layout;
    readonly env: Readonly<Record<string, string | undefined>>;
    readonly log: Logger;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<void> {
  const { layout, env, log, signal } = options;
  const { models } = sharedFolders(layout);
  const content = await readdir(models).catch(ignoreMissing);
  if (content !== undefined && content.length > 0) return;
  try {
    if (content) await rmdir(models);
    // Large files may take their time between two words.
    await new Git({ env, signal, stallMs: 600_000 }).clone({ url: repository, ref }, models);
  } catch (error) {
    signal?.throwIfAborted();
    log.warn(`no models from ${repository}: ${reportError(error).message}`, { error });
  }
}
