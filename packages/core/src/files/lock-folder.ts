import { createHash } from 'node:crypto';
import { mkdir, realpath } from 'node:fs/promises';
import { FolderBusyError } from '../errors/core-errors.ts';
import { holdName } from '../process/hold-name.ts';

/**
 * Keeps every other process of this host from changing a folder through this function until the lock is disposed of or
 * we end in whatever way. Makes the folder. Throws `CORE_FOLDER_BUSY` when somebody has it.
 */
export async function lockFolder(path: string): Promise<Disposable> {
  await mkdir(path, { recursive: true });
  const name = createHash('sha256')
    .update(await realpath(path))
    .digest('hex')
    .slice(0, 32);
  const lock = await holdName(`folder-${name}`);
  if (!lock) throw new FolderBusyError({ path });
  return lock;
}
