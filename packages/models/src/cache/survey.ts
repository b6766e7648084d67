import { lstat, readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { ignore, type Layout, sharedFolders } from '@mgpu/core';
import { partFactsSuffix, partSuffix } from '../download/part-file.ts';

/** Something that lies among the models. */
export interface FoundFile {
  /** Path below `shared`; of a part, that of what it is to become. */
  readonly path: string;
  readonly kind: 'file' | 'link' | 'part';
  /** Bytes on disk of a file or part; of a link 0. */
  readonly bytes: number;
  readonly mtimeMs: number;
  /** When it was last read, as far as the file system tells. */
  readonly usedMs: number;
  /** Of a link: what it leads to, an absolute path; undefined where it leads nowhere. */
  readonly target?: string;
  /** Device and inode: the same for two names of one file. */
  readonly identity: string;
}

/** Every file below `shared/models` and `shared/sd_models`, hidden ones left out. Links to folders are followed, once. */
export async function survey(layout: Layout): Promise<FoundFile[]> {
  const { models, sdModels } = sharedFolders(layout);
  const found: FoundFile[] = [];
  const seen = new Set<string>();
  for (const [root, name] of [
    [models, 'models'],
    [sdModels, 'sd_models'],
  ] as const)
    await visit(root, name, { found, seen });
  return found.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

async function visit(dir: string, below: string, walk: { found: FoundFile[]; seen: Set<string> }): Promise<void> {
  const real = await realpath(dir).catch(ignoreGone);
  if (real === undefined || walk.seen.has(real)) return;
  walk.seen.add(real);
  const entries = (await readdir(dir, { withFileTypes: true }).catch(ignoreGone)) ?? [];
  for (const { name } of entries) {
    const path = join(dir, name);
    const facts = await lstat(path).catch(ignoreGone);
    if (facts === undefined) continue;
    const led = facts.isSymbolicLink() ? await stat(path).catch(ignoreGone) : facts;
    if (led?.isDirectory()) {
      if (!name.startsWith('.')) await visit(path, `${below}/${name}`, walk);
      continue;
    }
    const file = foundFile(below, name, facts, facts.isSymbolicLink() && led ? await realpath(path) : undefined);
    if (file) walk.found.push(file);
  }
}

function foundFile(
  below: string,
  name: string,
  facts: { isFile(): boolean; isSymbolicLink(): boolean } & Record<
    'size' | 'mtimeMs' | 'atimeMs' | 'dev' | 'ino',
    number
  >,
  target: string | undefined,
): FoundFile | undefined {
  const { size, mtimeMs, atimeMs, dev, ino } = facts;
  const common = { mtimeMs, usedMs: Math.max(atimeMs, mtimeMs), identity: `${dev}:${ino}` };
  if (facts.isSymbolicLink()) {
    return { path: `${below}/${name}`, kind: 'link', bytes: 0, ...(target === undefined ? {} : { target }), ...common };
  }
  if (!facts.isFile()) return undefined;
  const isPart = name.startsWith('.') && name.endsWith(partSuffix);
  if (isPart) return { path: `${below}/${name.slice(1, -partSuffix.length)}`, kind: 'part', bytes: size, ...common };
  return name.startsWith('.') || name.endsWith(partFactsSuffix)
    ? undefined
    : { path: `${below}/${name}`, kind: 'file', bytes: size, ...common };
}

/** The names that lie where a file was looked for. */
export async function namesBeside(path: string): Promise<string[]> {
  const names = (await readdir(dirname(path)).catch(ignoreGone)) ?? [];
  return names.filter((name) => name !== basename(path) && !name.startsWith('.')).toSorted();
}

/** For `catch`: nothing can be found there. */
export const ignoreGone = ignore('ENOENT', 'ENOTDIR', 'ELOOP');
