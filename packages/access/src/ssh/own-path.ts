import { realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { OpenPathError } from '../errors.ts';

/**
 * Throws `ACCESS_PATH_OPEN` when a user other than this one and root could replace something on the way to the folder. It is
 * sshd's own `StrictModes`, but for folders such as /tmp, where nobody can replace what is not theirs (sticky bit).
 */
export async function expectOwnPath(folder: string): Promise<void> {
  for (let path = await realpath(folder); ; path = dirname(path)) {
    const { mode, uid } = await stat(path);
    if (uid !== 0 && uid !== process.getuid?.()) throw new OpenPathError({ path, problem: `belongs to user ${uid}` });
    const isSticky = (mode & 0o1000) !== 0;
    if ((mode & 0o022) !== 0 && !isSticky)
      throw new OpenPathError({ path, problem: `has the mode ${(mode & 0o7777).toString(8)}` });
    if (path === dirname(path)) return;
  }
}
