/** A file that differs from the commit that is checked out. */
export interface GitChange {
  /** Relative to the checkout; ends with a slash for a repository inside it. */
  readonly path: string;
  readonly kind: 'new' | 'changed' | 'gone' | 'unmerged';
}

/** Reads `git status --porcelain=v2 -z`, whose entries never begin with a blank (git-status(1)). */
export async function readChanges(
  ask: (words: readonly string[]) => Promise<string>,
  folder: string,
): Promise<readonly GitChange[]> {
  const words = ['--no-optional-locks', '--literal-pathspecs', 'status', '--porcelain=v2', '-z'];
  const status = await ask([...words, '--untracked-files=all', '--no-renames', '--', folder]);
  return status.split('\0').flatMap((entry) => changeIn(entry) ?? []);
}

function changeIn(entry: string): GitChange | undefined {
  if (entry.startsWith('? ')) return { path: entry.slice(2), kind: 'new' };
  if (entry.startsWith('u ')) return { path: entry.split(' ').slice(10).join(' '), kind: 'unmerged' };
  if (!entry.startsWith('1 ')) return undefined;
  const [, state = '..', ...rest] = entry.split(' ');
  const path = rest.slice(6).join(' ');
  // The index is ours to fill: what lies in the folder counts, whatever was staged before.
  if (state.endsWith('D') || state === 'D.') return { path, kind: 'gone' };
  return { path, kind: state.startsWith('A') ? 'new' : 'changed' };
}
