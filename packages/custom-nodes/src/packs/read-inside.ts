import { constants } from 'node:fs';
import { open, realpath } from 'node:fs/promises';
import { join, sep } from 'node:path';

/** A file of a pack is a stranger's: it is looked at only inside of the pack, and only so far. Bytes. */
const largest = 256 * 1024;

/**
 * The text of a file in a pack, undefined when there is none. Throws what `refuse` makes of the problem with one that
 * lies outside (by `..` or a symbolic link), is no file, or is larger than 256 KiB.
 */
export async function readInside(
  pack: string,
  path: string,
  refuse = (problem: string): Error => new Error(problem),
): Promise<string | undefined> {
  const root = await realpath(pack);
  const real = await realpath(join(root, path)).catch((error: NodeJS.ErrnoException) => {
    if (['ENOENT', 'ENOTDIR'].includes(error.code ?? '')) return undefined;
    throw refuse(`${path} cannot be followed (${error.code})`);
  });
  if (real === undefined) return undefined;
  if (!real.startsWith(`${root}${sep}`)) throw refuse(`${path} lies outside of the pack`);
  // A pipe must not keep us waiting for its other end.
  const file = await open(real, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  try {
    const facts = await file.stat();
    if (!facts.isFile()) throw refuse(`${path} is no file`);
    if (facts.size > largest) throw refuse(`${path} has ${facts.size} bytes, ${largest} are read at most`);
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}
