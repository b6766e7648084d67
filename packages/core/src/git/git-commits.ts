/** Author of a commit. */
export interface GitIdentity {
  readonly name: string;
  readonly email: string;
}

type Ask = (action: string, words: readonly string[], config?: readonly string[]) => Promise<string>;

/** More would not fit on a command line everywhere. */
const pathsAtOnce = 200;

/** Stages files as they lie there, gone ones as well, and commits them when anything differs. No hook is run. */
export async function commitFiles(
  ask: Ask,
  paths: readonly string[],
  { message, author }: { readonly message: string; readonly author: GitIdentity },
): Promise<void> {
  for (let at = 0; at < paths.length; at += pathsAtOnce) {
    const some = paths.slice(at, at + pathsAtOnce);
    // Names, never patterns: a file may be called `*.json`.
    await ask('staged', ['--literal-pathspecs', 'add', '--all', '--force', '--', ...some]);
  }
  const words = ['commit', '--quiet', '--no-verify', '--message', message];
  await ask('committed', words, await committing(ask, author));
}

/** Of the operator's own settings those that would ask, sign or fail are put aside; who commits is for them to say first. */
export async function committing(ask: Ask, { name, email }: GitIdentity): Promise<readonly string[]> {
  const known = await Promise.all(
    ['user.name', 'user.email'].map((key) => ask('read', ['config', '--get', key]).catch(() => '')),
  );
  const identity = known.every(Boolean) ? [] : [`user.name=${name}`, `user.email=${email}`];
  return [...identity, 'commit.gpgsign=false', 'core.safecrlf=false'];
}
