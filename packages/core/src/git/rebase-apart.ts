import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';

/** Two sides changed one file. */
export interface GitConflict {
  readonly path: string;
  /** Where the version of the commit that was rebased went; undefined when that had removed the file. */
  readonly copy: string | undefined;
}

export interface GitRebase {
  /** The last of the new commits, or `onto` when nothing was left of any. */
  readonly commit: string;
  readonly conflicts: readonly GitConflict[];
}

export interface RebaseOptions {
  /** Full commit. */
  readonly onto: string;
  /** Name for the copy of a file in conflict, relative to the checkout as its path is. */
  readonly copyOf: (path: string) => string;
}

type Ask = (dir: string, action: string, words: readonly string[]) => Promise<string>;
interface Places {
  readonly dir: string;
  readonly gitDir: string;
}

const folderOf = ({ gitDir }: Places) => join(gitDir, 'mgpu');

/**
 * Picks one commit after the other in a work tree below the Git folder. `git rebase` in the checkout itself would have its files
 * in between states, and would throw away, when it is called off after a crash, what somebody wrote there meanwhile.
 */
export async function rebaseApart(ask: Ask, places: Places, { onto, copyOf }: RebaseOptions): Promise<GitRebase> {
  const list = await ask(places.dir, 'read', ['rev-list', '--reverse', '--no-merges', 'HEAD', `^${onto}`]);
  const tree = join(folderOf(places), randomUUID());
  const conflicts = new Map<string, string | undefined>();
  try {
    await ask(places.dir, 'rebased', ['worktree', 'add', '--quiet', '--detach', tree, onto]);
    for (const commit of list.split('\n').filter(Boolean)) {
      for (const { path, copy } of await pick(ask, tree, commit, copyOf)) conflicts.set(path, copy);
    }
    const commit = await ask(tree, 'read', ['rev-parse', '--verify', 'HEAD']);
    return { commit, conflicts: [...conflicts].map(([path, copy]) => ({ path, copy })) };
  } finally {
    await removeWorkTrees(ask, places);
  }
}

/** Those of rebases that were killed among them. */
export async function removeWorkTrees(ask: Ask, places: Places): Promise<void> {
  await rm(folderOf(places), { recursive: true, force: true, maxRetries: 3 });
  await ask(places.dir, 'tidied', ['worktree', 'prune']);
}

async function pick(ask: Ask, tree: string, commit: string, copyOf: RebaseOptions['copyOf']): Promise<GitConflict[]> {
  const merge = ['-c', 'merge.default=binary', '-c', 'merge.renames=false', '-c', 'rerere.enabled=false'];
  const failure = await ask(tree, 'rebased', [...merge, 'cherry-pick', '--no-commit', commit]).then(
    () => undefined,
    (error: unknown) => error,
  );
  const unmerged = unmergedIn(await ask(tree, 'read', ['ls-files', '--unmerged', '-z']));
  if (failure !== undefined && unmerged.size === 0) throw failure;
  const conflicts: GitConflict[] = [];
  for (const [path, { kept, other }] of unmerged) {
    const put = ({ mode, object }: Version, at: string) =>
      ask(tree, 'rebased', ['update-index', '--add', '--cacheinfo', `${mode},${object},${at}`]);
    const copy = other && copyOf(path);
    if (other && copy !== undefined) await put(other, copy);
    await ask(tree, 'rebased', ['update-index', '--force-remove', '--', path]);
    if (kept) await put(kept, path);
    conflicts.push({ path, copy });
  }
  if ((await ask(tree, 'read', ['diff', '--cached', '--name-only', 'HEAD'])) !== '')
    await ask(tree, 'rebased', ['commit', '--quiet', '--no-verify', '--reuse-message', commit]);
  // In this tree nobody writes but us: its files are to be as the commit has them, for the next one.
  if (conflicts.length > 0) {
    await ask(tree, 'rebased', ['reset', '--quiet', '--hard']);
    await ask(tree, 'rebased', ['clean', '--quiet', '-ffdx']);
  }
  return conflicts;
}

interface Version {
  readonly mode: string;
  readonly object: string;
}

/** Stage 2 is what is there, stage 3 what the commit has (git-ls-files(1), git-read-tree(1)). */
function unmergedIn(listing: string): Map<string, { kept?: Version; other?: Version }> {
  const paths = new Map<string, { kept?: Version; other?: Version }>();
  for (const entry of listing.split('\0').filter(Boolean)) {
    const [facts = '', path = ''] = [entry.slice(0, entry.indexOf('\t')), entry.slice(entry.indexOf('\t') + 1)];
    const [mode = '', object = '', stage] = facts.split(' ');
    const sides = paths.get(path) ?? {};
    if (stage === '2') sides.kept = { mode, object };
    if (stage === '3') sides.other = { mode, object };
    paths.set(path, sides);
  }
  return paths;
}
