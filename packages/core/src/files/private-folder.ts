import { createHash } from 'node:crypto';
import { lstat, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FolderNotPrivateError } from '../errors/core-errors.ts';
import type { Layout } from './layout.ts';

/**
 * A folder of ours among the system's temporary ones, whose name follows from the root: for what cannot lie below the
 * root, because that is too deep for a socket or closed to another account.
 */
export function privateFolderOf({ root }: Pick<Layout, 'root'>, name: string): string {
  const key = createHash('sha256').update(root).digest('hex').slice(0, 16);
  return join(tmpdir(), `mgpu-${name}-${process.getuid?.() ?? 0}-${key}`);
}

/** Makes a folder of mode 0700. Throws `CORE_FOLDER_NOT_PRIVATE` when somebody else made it first, or may write to it. */
export async function makePrivateFolder(instance: string, path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  const facts = await lstat(path);
  const refuse = (problem: string) => new FolderNotPrivateError({ instance, path, problem });
  if (!facts.isDirectory()) throw refuse('it is no folder');
  if (process.getuid && facts.uid !== process.getuid()) throw refuse(`it belongs to user ${facts.uid}`);
  if ((facts.mode & 0o022) !== 0) throw refuse('others may write to it');
}
