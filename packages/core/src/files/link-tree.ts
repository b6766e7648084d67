import { constants, type Dirent } from 'node:fs';
import { copyFile, link, lstat, mkdir, readdir, readlink, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';

export interface LinkTreeOptions {
  /** Files that are linked; the others are copied. Default: all. `path` is relative to the tree. */
  readonly links?: (path: string, bytes: number) => boolean;
  /** Names that are left out, wherever they stand, e.g. `__pycache__`. */
  readonly without?: ReadonlySet<string>;
  readonly signal?: AbortSignal | undefined;
}

/** Files that are worked on at the same time; more do not make it faster. */
const width = 64;

/**
 * Makes `to`, which must not be there, a copy of the folder `from` whose files are the same ones on disk (hard links), where
 * the file system can. Safe for files that are replaced and never written into, as package installers and Git do it. What
 * goes away meanwhile is not in it.
 */
export async function linkTree(
  from: string,
  to: string,
  { links, without = new Set(), signal }: LinkTreeOptions = {},
): Promise<void> {
  const folders: string[] = [''];
  for (let folder = folders.shift(); folder !== undefined; folder = folders.shift()) {
    signal?.throwIfAborted();
    const source = join(from, folder);
    const look = async () => ({
      mode: (await stat(source)).mode & 0o7777,
      content: await readdir(source, { withFileTypes: true }),
    });
    const found = folder === '' ? await look() : await whileThere(source, look);
    if (!found) continue;
    // The copy is ours to fill, to change and to remove.
    await mkdir(join(to, folder), { mode: found.mode | 0o700 });
    const entries = found.content.filter(({ name }) => !without.has(name));
    const files = entries.filter((entry) => !entry.isDirectory());
    for (let at = 0; at < files.length; at += width) {
      const some = files.slice(at, at + width);
      await Promise.all(
        some.map((entry) => {
          const path = join(folder, entry.name);
          return whileThere(join(from, path), () => place(entry, path, { from, to, links }));
        }),
      );
    }
    folders.push(...entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(folder, name)));
  }
}

async function place(
  entry: Dirent,
  path: string,
  { from, to, links }: { from: string; to: string; links: LinkTreeOptions['links'] },
): Promise<void> {
  const [source, target] = [join(from, path), join(to, path)];
  if (entry.isSymbolicLink()) return symlink(await readlink(source), target);
  if (!entry.isFile()) return; // a socket or a pipe of something that runs
  if (links === undefined || links(path, (await stat(source)).size)) {
    const isLinked = await link(source, target).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        // Another file system, one without links, or a file with as many as it may have.
        if (['EXDEV', 'EMLINK', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP'].includes(error.code ?? '')) return false;
        throw error;
      },
    );
    if (isLinked) return;
  }
  await copyFile(source, target, constants.COPYFILE_FICLONE);
}

/** Undefined when what is worked on has gone away meanwhile. */
async function whileThere<T>(path: string, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    const isGone = () =>
      lstat(path).then(
        () => false,
        () => true,
      );
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' && (await isGone())) return undefined;
    throw error;
  }
}
