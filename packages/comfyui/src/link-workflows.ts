import { mkdir, realpath, rm, rmdir, symlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ignore, ignoreMissing, type Logger } from '@mgpu/core';

/**
 * Makes `link` a symbolic link to the shared workflows, so that every instance shows and saves the same ones. A folder with
 * workflows of its own in that place, or a link to another one, is left alone, with a warning.
 */
export async function linkWorkflows(link: string, target: string, log: Logger): Promise<void> {
  await mkdir(dirname(link), { recursive: true });
  const present = await realpath(link).catch(ignoreMissing);
  if (present === (await realpath(target))) return;
  if (present !== undefined) {
    const isRemoved = await rmdir(link).then(() => true, ignore('ENOTEMPTY', 'EEXIST', 'ENOTDIR'));
    if (!isRemoved) {
      log.warn(`${link} holds workflows of its own and is not linked to ${target}; move them there and remove it`);
      return;
    }
  }
  await rm(link, { force: true }); // a link that leads nowhere any more
  await symlink(target, link);
}
