import { cp, lstat, mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type ErrorReport, reportError } from '@mgpu/core';
import { PreinstalledTakenError } from '../errors.ts';

/** What became of one folder or file of custom nodes. */
export interface MovedNode {
  readonly name: string;
  readonly status: 'moved' | 'failed';
  readonly error?: ErrorReport;
}

export interface MoveOptions {
  /** Folder they were put into, e.g. by whoever made the image. Nothing is done where there is none. */
  readonly from: string;
  /** The shared folder of custom nodes. */
  readonly to: string;
  readonly signal?: AbortSignal | undefined;
}

const draftOf = (to: string, name: string) => join(to, `.${name}.moving`);

/**
 * Moves custom nodes into the shared folder, one by one, and removes the folder they were in once it is empty. Never over
 * something, and never into it: what has a namesake stays where it is (`NODES_PREINSTALLED_TAKEN`). Across file systems the
 * copy is whole before it has its name; an interrupted move is done again.
 */
export async function movePreinstalled({ from, to, signal }: MoveOptions): Promise<readonly MovedNode[]> {
  const names = (await namesIn(from)).toSorted();
  if (names.length === 0) return [];
  await mkdir(to, { recursive: true });
  const moved: MovedNode[] = [];
  for (const name of names) {
    signal?.throwIfAborted();
    try {
      await move(name, { from, to });
      moved.push({ name, status: 'moved' });
    } catch (error) {
      moved.push({ name, status: 'failed', error: reportError(error) });
    }
  }
  if (moved.every(({ status }) => status === 'moved')) await rmdir(from);
  return moved;
}

async function move(name: string, { from, to }: MoveOptions): Promise<void> {
  const [source, target, draft] = [join(from, name), join(to, name), draftOf(to, name)];
  if (await isThere(target)) throw new PreinstalledTakenError({ name, from, to });
  try {
    await rename(source, target);
  } catch (error) {
    // An image's layer and a volume are different file systems.
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
    await rm(draft, { recursive: true, force: true });
    await cp(source, draft, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
    await rename(draft, target);
    await rm(source, { recursive: true, force: true });
  }
}

async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
}

async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
