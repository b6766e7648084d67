import { createHash } from 'node:crypto';
import { mkdir, realpath } from 'node:fs/promises';
import { FolderBusyError } from '../errors/core-errors.ts';
import { holdName, isNameHeld } from '../process/hold-name.ts';

/**
 * Keeps every other process of this host (of this network namespace) from changing a folder through this function until the
 * lock is disposed of or we end in whatever way. Makes the folder. Throws `CORE_FOLDER_BUSY` when somebody has it.
 */
export async function lockFolder(path: string): Promise<Disposable> {
  await mkdir(path, { recursive: true });
  const lock = await holdName(await nameOf(path));
  if (!lock) throw new FolderBusyError({ path });
  return lock;
}

/** Whether somebody, ourselves included, has it locked at present. The folder is to be there. */
export const isFolderLocked = async (path: string): Promise<boolean> => isNameHeld(await nameOf(path));

async function nameOf(path: string): Promise<string> {
  const digest = createHash('sha256').update(await realpath(path));
  return `folder-${digest.digest('hex').slice(0, 32)}`;
}
