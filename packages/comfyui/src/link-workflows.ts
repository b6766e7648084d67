import { mkdir, readlink, rename, rmdir, symlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Logger } from '@mgpu/core';

/**
 * Makes `link` a symbolic link to the shared workflows, so that every instance shows and saves the same ones. A folder
 * with workflows of its own in that place is left alone, with a warning.
 */
export async function linkWorkflows(link: string, target: string, log: Logger): Promise<void> {
  await mkdir(dirname(link), { recursive: true });
  const present = await readlink(link).catch(() => undefined); // nothing there, or no link
  if (present === target) return;
  if (present === undefined) {
    const { code } = (await rmdir(link).catch((error: NodeJS.ErrnoException) => error)) ?? {};
    if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOTDIR') {
      log.warn(`${link} holds workflows of its own and is not linked to ${target}; move them there and remove it`);
      return;
    }
  }
  // Replaced in one step: an instance that is just starting never sees it missing.
  const fresh = `${link}.${process.pid}`;
  await symlink(target, fresh);
  await rename(fresh, link);
}
