import { GitRefError } from './errors.ts';
import { isFullCommit, isLocalUrl, withoutSecret } from './git-url.ts';
import type { RunGit } from './run-git.ts';

/** Which state of which repository: a branch, a tag or a commit; without `ref` the head of the default branch. */
export interface GitSource {
  readonly url: string;
  readonly ref?: string | undefined;
  /** With submodules. Default false. */
  readonly recursive?: boolean | undefined;
}

const refuse = ({ url, ref = 'HEAD' }: GitSource, problem: string) =>
  new GitRefError({ url: withoutSecret(url), ref, problem });

/** Asks the server; undefined for an abbreviated commit, which no server looks up. */
export async function commitAtServer(run: RunGit, source: GitSource): Promise<string | undefined> {
  const { url, ref } = source;
  const names = ref === undefined ? ['HEAD'] : [`refs/heads/${ref}`, `refs/tags/${ref}`, `refs/tags/${ref}^{}`];
  const answer = await run({ url, action: 'asked' }, (git) => git.raw('ls-remote', '--', url, ...names));
  const found = new Map(answer.split('\n').map((line) => line.split('\t').reverse() as [string, string]));
  // As in a checkout: a branch before a tag of the same name.
  for (const name of ['HEAD', `refs/heads/${ref}`, `refs/tags/${ref}^{}`, `refs/tags/${ref}`]) {
    const commit = found.get(name);
    if (commit !== undefined) return commit;
  }
  if (ref !== undefined && /^[0-9a-f]{7,39}$/.test(ref)) return undefined;
  throw refuse(source, ref === undefined ? 'it has no commit yet' : 'it has no such branch or tag');
}

/** Among what was fetched; undefined when the object is not there yet. */
export async function findCommit(run: RunGit, dir: string, { url, ref }: GitSource): Promise<string | undefined> {
  const names =
    ref === undefined ? ['refs/remotes/origin/HEAD'] : [`refs/remotes/origin/${ref}`, `refs/tags/${ref}`, ref];
  for (const name of names) {
    const words = ['rev-parse', '--verify', '--quiet', `${name}^{commit}`];
    const commit = await run({ url, action: 'read', dir }, (git) => git.raw(...words)).catch(() => '');
    if (commit !== '') return commit;
  }
  return undefined;
}

/** Fetches all branches and tags of `origin`, and the commit alone where no branch has it any more. */
export async function fetchCommit(run: RunGit, dir: string, source: GitSource): Promise<string> {
  const { url, ref } = source;
  const fetch = (...what: string[]) =>
    run({ url, action: 'fetched', dir }, (git) => git.raw('fetch', '--progress', '--force', ...what));
  await fetch('--prune', '--tags', 'origin', '+refs/heads/*:refs/remotes/origin/*');
  if (ref === undefined)
    await run({ url, action: 'asked', dir }, (git) => git.raw('remote', 'set-head', 'origin', '--auto'));
  const found = await findCommit(run, dir, source);
  if (found !== undefined) return found;
  if (ref === undefined) throw refuse(source, 'it has no default branch');
  // A commit that no branch has any more: some servers still give it.
  if (isFullCommit(ref)) {
    await fetch('origin', ref).catch(() => {}); // not given: told below
    const rare = await findCommit(run, dir, source);
    if (rare !== undefined) return rare;
  }
  throw refuse(source, 'it has no such branch, tag or commit');
}

/** Checks a commit out, with submodules where they are wanted. Not quietly: a large one takes longer than a silence may. */
export async function checkOutCommit(
  run: RunGit,
  dir: string,
  { url, recursive, commit, how }: GitSource & { readonly commit: string; readonly how: string },
): Promise<void> {
  const words = ['checkout', '--progress', '--detach', how, commit];
  await run({ url, action: 'checked out', dir }, (git) => git.raw(...words));
  if (!recursive) return;
  // Git refuses paths of this machine to submodules, lest a stranger's repository reads ours. This one is ours.
  const config = isLocalUrl(url) ? ['protocol.file.allow=always'] : [];
  await run({ url, action: 'completed with its submodules', dir, config }, async (git) => {
    await git.raw('submodule', 'sync', '--recursive');
    return git.raw('submodule', 'update', '--init', '--recursive', '--force', '--progress');
  });
}
