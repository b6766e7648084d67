import { randomUUID } from 'node:crypto';
import { lstat, mkdir, readlink, realpath, rename, rm, stat, symlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ignoreGone, namesBeside } from '../cache/survey.ts';
import { LinkSourceError, LinkTakenError } from '../errors.ts';

/**
 * Makes `path` a link to `source`; both are absolute. What is such a link already stays as it is, a link elsewhere is replaced
 * at once, a real file never. Returns whether something was changed. Throws `MODELS_LINK_SOURCE`, `MODELS_LINK_TAKEN`.
 */
export async function placeLink(path: string, source: string): Promise<boolean> {
  if (!(await stat(source).catch(ignoreGone))) {
    throw new LinkSourceError({ path, source, present: await namesBeside(source) });
  }
  const present = await lstat(path).catch(ignoreGone);
  if (await leadsThrough(source, path)) {
    // The other way round: the file itself lies here, and is linked from there.
    if (present?.isFile()) return false;
    throw new LinkTakenError({ path, problem: `${source} leads to it already` });
  }
  if (present && !present.isSymbolicLink()) {
    throw new LinkTakenError({ path, problem: `there is a ${present.isDirectory() ? 'folder' : 'file'} in its place` });
  }
  if (present && (await readlink(path)) === source) return false;
  await mkdir(dirname(path), { recursive: true });
  const draft = `${dirname(path)}/.${randomUUID()}.mgpu-link`;
  await symlink(source, draft);
  try {
    if (present) await rename(draft, path);
    else await symlink(source, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new LinkTakenError({ path, problem: 'something came into its place meanwhile' });
  } finally {
    await rm(draft, { force: true });
  }
  return true;
}

/** Whether `from`, or a link on the way from it to what it means, is `path`. */
async function leadsThrough(from: string, path: string): Promise<boolean> {
  const folder = await realpath(dirname(path)).catch(ignoreGone);
  if (folder === undefined) return false;
  const wanted = `${folder}/${path.slice(dirname(path).length + 1)}`;
  let at = from;
  for (let steps = 0; steps < 40; steps++) {
    const here = `${await realpath(dirname(at))}/${at.slice(dirname(at).length + 1)}`;
    if (here === wanted) return true;
    const facts = await lstat(at).catch(ignoreGone);
    if (!facts?.isSymbolicLink()) return false;
    const next = await readlink(at);
    at = next.startsWith('/') ? next : `${dirname(here)}/${next}`;
  }
  return false;
}
