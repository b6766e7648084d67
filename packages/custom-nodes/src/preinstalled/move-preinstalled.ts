import { cp, lstat, mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type ErrorReport, ignore, ignoreMissing, reportError } from '@mgpu/core';
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

/** Two stages of a move across file systems, in names that no engine takes for nodes. */
const draftOf = (to: string, name: string) => join(to, `.${name}.moving`);
const wholeSuffix = '.moved';
const wholeOf = (to: string, name: string) => join(to, `.${name}${wholeSuffix}`);

/**
 * Moves custom nodes into the shared folder, one by one, and removes the folder they were in once it is empty. Never over
 * something, and never into it: what has a namesake stays where it is (`NODES_PREINSTALLED_TAKEN`). Across file systems the
 * copy has its name when it is whole and what it was copied from is gone; an interrupted move is gone on with.
 */
export async function movePreinstalled({ from, to, signal }: MoveOptions): Promise<readonly MovedNode[]> {
  const whole = (await namesIn(to)).filter((name) => name.startsWith('.') && name.endsWith(wholeSuffix));
  const interrupted = whole.map((name) => name.slice(1, -wholeSuffix.length));
  const names = [...new Set([...(await namesIn(from)), ...interrupted])].toSorted();
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
  // What is mounted there, or is not ours to remove, may stay as an empty folder.
  if (moved.every(({ status }) => status === 'moved')) await rmdir(from).catch(ignoreStays);
  return moved;
}

const ignoreStays = ignore('EACCES', 'EBUSY', 'ENOENT', 'ENOTEMPTY', 'EPERM', 'EROFS');

async function move(name: string, { from, to }: MoveOptions): Promise<void> {
  const [source, target, draft, whole] = [join(from, name), join(to, name), draftOf(to, name), wholeOf(to, name)];
  if (await isThere(target)) throw new PreinstalledTakenError({ name, from, to });
  if (!(await isThere(whole))) {
    try {
      return await rename(source, target);
    } catch (error) {
      // An image's layer and a volume are different file systems.
      if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
    }
    await rm(draft, { recursive: true, force: true });
    await cp(source, draft, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
    await rename(draft, whole);
  }
  await rm(source, { recursive: true, force: true });
  await rename(whole, target);
}

const namesIn = async (folder: string): Promise<string[]> => (await readdir(folder).catch(ignoreMissing)) ?? [];

const isThere = async (path: string) => (await lstat(path).catch(ignoreMissing)) !== undefined;
