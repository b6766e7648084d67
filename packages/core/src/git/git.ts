import { randomUUID } from 'node:crypto';
import { rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { SimpleGit } from 'simple-git';
import { GitRefError } from './errors.ts';
import { type GitChange, readChanges } from './git-changes.ts';
import { releaseLocks, unfinishedWork } from './git-locks.ts';
import { completeTornFiles, moving } from './git-moves.ts';
import { expectGitRef, expectGitUrl, isFullCommit, isLocalUrl, withoutSecret } from './git-url.ts';
import { type GitRebase, type RebaseOptions, rebaseApart, removeWorkTrees } from './rebase-apart.ts';
import { type GitOptions, runGit } from './run-git.ts';

/** Author of a commit. */
export interface GitIdentity {
  readonly name: string;
  readonly email: string;
}

/** Which state of which repository: a branch, a tag or a commit; without `ref` the head of the default branch. */
export interface GitSource {
  readonly url: string;
  readonly ref?: string | undefined;
  /** With submodules. Default false. */
  readonly recursive?: boolean | undefined;
}

/** A branch of a repository. */
export interface GitBranch {
  readonly url: string;
  readonly branch: string;
}

/** A checkout as it lies there. */
export interface GitCheckout {
  readonly commit: string;
  /** URL of `origin`. */
  readonly origin: string | undefined;
  /** Tracked files that differ from the commit, relative to the checkout. */
  readonly edits: readonly string[];
  /** False when the commit is on no branch and no tag that was fetched: somebody made it here. */
  readonly isPublished: boolean;
}

/** More would not fit on a command line everywhere. */
const pathsAtOnce = 200;

/** Git for programs: never asks anybody, runs no transport helpers, and takes no option for a name. */
export class Git {
  readonly #options: GitOptions;

  constructor(options: GitOptions) {
    this.#options = options;
  }

  /**
   * The commit that a source means at its server now; undefined for an abbreviated commit, which no server looks up. A full
   * commit is believed. Throws `CORE_GIT_URL`, `CORE_GIT_REF`, `CORE_GIT_REPOSITORY`, `CORE_GIT_FAILED`.
   */
  async remoteCommit({ url, ref }: GitSource): Promise<string | undefined> {
    expectGitUrl(url);
    if (ref !== undefined) expectGitRef(url, ref);
    if (ref !== undefined && isFullCommit(ref)) return ref;
    const names = ref === undefined ? ['HEAD'] : [`refs/heads/${ref}`, `refs/tags/${ref}`, `refs/tags/${ref}^{}`];
    const answer = await this.#run(url, 'asked', (git) => git.raw('ls-remote', '--', url, ...names));
    const found = new Map(answer.split('\n').map((line) => line.split('\t').reverse() as [string, string]));
    // As in a checkout: a branch before a tag of the same name.
    for (const name of ['HEAD', `refs/heads/${ref}`, `refs/tags/${ref}^{}`, `refs/tags/${ref}`]) {
      const commit = found.get(name);
      if (commit !== undefined) return commit;
    }
    if (ref !== undefined && /^[0-9a-f]{7,39}$/.test(ref)) return undefined;
    throw new GitRefError({
      url: withoutSecret(url),
      ref: ref ?? 'HEAD',
      problem: ref === undefined ? 'it has no commit yet' : 'it has no such branch or tag',
    });
  }

  /**
   * A new checkout in `dir`, which is there only when it is whole. Returns its commit. Throws as `remoteCommit`, and whatever
   * the file system says when `dir` is there already.
   */
  async clone(source: GitSource, dir: string): Promise<string> {
    const { url, ref } = source;
    expectGitUrl(url);
    if (ref !== undefined) expectGitRef(url, ref);
    const draft = join(dirname(dir), `.${basename(dir)}.${randomUUID()}`);
    try {
      await this.#run(url, 'cloned', (git) => git.raw('clone', '--progress', '--no-checkout', '--', url, draft));
      const commit = (await this.#find(draft, source)) ?? (await this.#fetch(draft, source));
      await this.#moveTo(draft, commit, source, '--force');
      await rename(draft, dir);
      return commit;
    } finally {
      await rm(draft, { recursive: true, force: true, maxRetries: 3 });
    }
  }

  /** What lies in `dir`; undefined when that is no checkout of its own. */
  async inspect(dir: string): Promise<GitCheckout | undefined> {
    if (!(await stat(join(dir, '.git')).catch(() => undefined))) return undefined;
    const ask = (...words: string[]) => this.#run(dir, 'read', (git) => git.raw(...words), dir);
    // Without locks: a look must not write the index anew.
    const [commit, origin, status, holders] = await Promise.all([
      ask('rev-parse', '--verify', '--quiet', 'HEAD').catch(() => ''),
      ask('config', '--get', 'remote.origin.url').catch(() => ''),
      ask('--no-optional-locks', 'status', '--porcelain=v1', '-z', '--untracked-files=no', '--no-renames'),
      ask('for-each-ref', '--count=1', '--contains', 'HEAD', 'refs/remotes', 'refs/tags').catch(() => ''),
    ]);
    if (commit === '') return undefined; // nothing is checked out: a clone that was interrupted
    return {
      commit,
      origin: origin || undefined,
      edits: editsIn(status),
      isPublished: holders !== '',
    };
  }

  /**
   * Brings a checkout without edits to the state a source means, fetching only what is not there: a branch is looked up at
   * its server, a commit that is there is not. Returns its commit. Overwrites nothing that Git does not keep: throws
   * `CORE_GIT_IN_THE_WAY` for such files, otherwise as `remoteCommit`. With `force` it does overwrite, edits included.
   */
  async checkOut(dir: string, source: GitSource, { force = false }: { force?: boolean } = {}): Promise<string> {
    const { url, ref } = source;
    expectGitUrl(url);
    if (ref !== undefined) expectGitRef(url, ref);
    await this.#run(url, 'checked out', (git) => git.raw('remote', 'set-url', 'origin', '--', url), dir);
    const known = ref !== undefined && isFullCommit(ref) ? await this.#find(dir, source) : undefined;
    const commit = known ?? (await this.#fetch(dir, source));
    // By default Git takes what is ignored for worthless.
    await this.#moveTo(dir, commit, source, force ? '--force' : '--no-overwrite-ignore');
    return commit;
  }

  /** Gives tracked files back the content they have in the commit. `paths` are relative to the checkout. */
  async restore(dir: string, paths: readonly string[]): Promise<void> {
    const words = ['--literal-pathspecs', 'checkout', '--quiet', 'HEAD', '--'];
    await this.#run(dir, 'restored', (git) => git.raw(...words, ...paths), dir);
  }

  /** Keeps the commit that is checked out under the name of a branch, which is moved when it is there. */
  async keep(dir: string, branch: string): Promise<void> {
    expectGitRef(dir, branch);
    await this.#run(dir, 'kept', (git) => git.raw('branch', '--no-track', '--force', branch, 'HEAD'), dir);
  }

  /** Puts edits of tracked files on Git's stash, where `git stash list` shows them under `message`. */
  async stash(dir: string, message: string): Promise<void> {
    const identity = ['-c', 'user.name=mgpu', '-c', 'user.email=mgpu@localhost'];
    await this.#run(dir, 'stashed', (git) => git.raw(...identity, 'stash', 'push', '--message', message), dir);
  }

  /** The branch that a server calls its default; undefined where there is no commit yet. Throws as `remoteCommit`. */
  async defaultBranch(url: string): Promise<string | undefined> {
    expectGitUrl(url);
    const answer = await this.#run(url, 'asked', (git) => git.raw('ls-remote', '--symref', '--', url, 'HEAD'));
    return /^ref: refs\/heads\/(\S+)\tHEAD$/m.exec(answer)?.[1];
  }

  /** Makes a folder, with whatever lies in it, a repository without a commit, on that branch. */
  async begin(dir: string, branch: string): Promise<void> {
    expectGitRef(dir, branch);
    await this.#in(dir, 'begun', ['init', '--quiet']);
    await this.#in(dir, 'begun', ['symbolic-ref', 'HEAD', `refs/heads/${branch}`]);
  }

  /** The branch and the commit that are checked out; neither where there is none. */
  async head(dir: string): Promise<{ readonly branch: string | undefined; readonly commit: string | undefined }> {
    const [branch, commit] = await Promise.all([
      this.#in(dir, 'read', ['symbolic-ref', '--short', '--quiet', 'HEAD']).catch(() => ''),
      this.#in(dir, 'read', ['rev-parse', '--verify', '--quiet', 'HEAD']).catch(() => ''),
    ]);
    return { branch: branch || undefined, commit: commit || undefined };
  }

  /** What differs from the commit that is checked out, new files included, ignored ones not; of `folder` only, where given. */
  async changes(dir: string, folder = '.'): Promise<readonly GitChange[]> {
    return readChanges((words) => this.#in(dir, 'read', words), folder);
  }

  /** The files that Git keeps, relative to the checkout; of `folder` only, where given. */
  async files(dir: string, folder = '.'): Promise<readonly string[]> {
    const list = await this.#in(dir, 'read', ['--literal-pathspecs', 'ls-files', '-z', '--', folder]);
    return list.split('\0').filter(Boolean);
  }

  /** What a person (or a program) began in the checkout and did not end: `merge`, `rebase`, …; undefined without. */
  async unfinished(dir: string): Promise<string | undefined> {
    return unfinishedWork(await this.#gitDir(dir));
  }

  /** Commits these files as they lie there, gone ones as well; undefined when nothing of them differs. No hook is run. */
  async commit(
    dir: string,
    paths: readonly string[],
    { message, author }: { message: string; author: GitIdentity },
  ): Promise<string | undefined> {
    const before = await this.head(dir);
    for (let at = 0; at < paths.length; at += pathsAtOnce) {
      const some = paths.slice(at, at + pathsAtOnce);
      // Names, never patterns: a file may be called `*.json`.
      await this.#in(dir, 'staged', ['--literal-pathspecs', 'add', '--all', '--force', '--', ...some]);
    }
    const words = ['commit', '--quiet', '--no-verify', '--message', message];
    await this.#in(dir, 'committed', words, await this.#committing(dir, author));
    const { commit } = await this.head(dir);
    return commit === before.commit ? undefined : commit;
  }

  /** Fetches the branches of a repository as those of `origin`; the commit of this one, undefined when it is not there. */
  async fetchBranch(dir: string, { url, branch }: GitBranch): Promise<string | undefined> {
    expectGitUrl(url);
    expectGitRef(url, branch);
    const words = ['fetch', '--progress', '--prune', '--no-tags', '--', url, '+refs/heads/*:refs/remotes/origin/*'];
    await this.#run(url, 'fetched', (git) => git.raw(...words), dir);
    return this.#find(dir, { url, ref: `refs/remotes/origin/${branch}` });
  }

  /** The URL of `origin` of a checkout, and how to set it. */
  async origin(dir: string): Promise<string | undefined> {
    return (await this.#in(dir, 'read', ['config', '--get', 'remote.origin.url']).catch(() => '')) || undefined;
  }

  async setOrigin(dir: string, url: string): Promise<void> {
    expectGitUrl(url);
    await this.#in(dir, 'set up', ['config', 'remote.origin.url', url]);
    await this.#in(dir, 'set up', ['config', 'remote.origin.fetch', '+refs/heads/*:refs/remotes/origin/*']);
  }

  /** The last commit that both have behind them; undefined when they have nothing in common. */
  async mergeBase(dir: string, one: string, other: string): Promise<string | undefined> {
    return (await this.#in(dir, 'read', ['merge-base', one, other]).catch(() => '')) || undefined;
  }

  /**
   * Makes commits of the branch that is checked out, as far as `onto` does not have them, anew on top of it, in a work tree of
   * its own: the checkout stays as it is. In conflicts, `onto` keeps the name, the other goes to the copy. No text is merged.
   */
  async rebase(dir: string, { author, ...options }: RebaseOptions & { author: GitIdentity }): Promise<GitRebase> {
    const config = await this.#committing(dir, author);
    const gitDir = await this.#gitDir(dir);
    return rebaseApart((where, action, words) => this.#in(where, action, words, config), { dir, gitDir }, options);
  }

  /**
   * Moves the branch and the files to a commit. Nothing that was not committed is lost: throws `CORE_GIT_IN_THE_WAY` and changes
   * nothing when files that differ, or that Git does not keep, lie where the commit has others.
   */
  async moveBranch(dir: string, branch: string, commit: string): Promise<void> {
    expectGitRef(dir, branch);
    const words = ['checkout', '--progress', '--no-overwrite-ignore', '--no-track', '-B', branch, commit];
    await moving((asked) => this.#in(dir, 'moved', asked), commit, words);
  }

  /** Never by force. Throws `CORE_GIT_BEHIND` when somebody was faster, otherwise as `remoteCommit`. No hook is run. */
  async push(dir: string, { url, branch, commit }: GitBranch & { readonly commit: string }): Promise<void> {
    expectGitUrl(url);
    expectGitRef(url, branch);
    const words = ['push', '--progress', '--no-verify', '--', url, `${commit}:refs/heads/${branch}`];
    await this.#run(url, 'pushed to', (git) => git.raw(...words), dir);
    await this.#in(dir, 'noted', ['update-ref', `refs/remotes/origin/${branch}`, commit]);
  }

  /**
   * Clears away what a killed Git left: locks that nobody holds, work trees of rebases, files that a move had written by half.
   * Throws `CORE_GIT_LOCKED`.
   */
  async recover(dir: string): Promise<void> {
    const gitDir = await this.#gitDir(dir);
    await releaseLocks(dir, gitDir);
    await removeWorkTrees((where, action, words) => this.#in(where, action, words), { dir, gitDir });
    await completeTornFiles((words) => this.#in(dir, 'recovered', words), dir);
  }

  #gitDir(dir: string): Promise<string> {
    return this.#in(dir, 'read', ['rev-parse', '--absolute-git-dir']);
  }

  #in(dir: string, action: string, words: readonly string[], config: readonly string[] = []): Promise<string> {
    return this.#run(dir, action, (git) => git.raw(...words), dir, config);
  }

  /** Of the operator's own settings those that would ask, sign or fail are put aside; who commits is for them to say first. */
  async #committing(dir: string, { name, email }: GitIdentity): Promise<readonly string[]> {
    const known = await Promise.all(
      ['user.name', 'user.email'].map((key) => this.#in(dir, 'read', ['config', '--get', key]).catch(() => '')),
    );
    const identity = known.every(Boolean) ? [] : [`user.name=${name}`, `user.email=${email}`];
    return [...identity, 'commit.gpgsign=false', 'core.safecrlf=false'];
  }

  /** Undefined when the object is not there yet. */
  async #find(dir: string, { url, ref }: GitSource): Promise<string | undefined> {
    const names =
      ref === undefined ? ['refs/remotes/origin/HEAD'] : [`refs/remotes/origin/${ref}`, `refs/tags/${ref}`, ref];
    for (const name of names) {
      const look = (git: SimpleGit) => git.raw('rev-parse', '--verify', '--quiet', `${name}^{commit}`);
      const commit = await this.#run(url, 'read', look, dir).catch(() => '');
      if (commit !== '') return commit;
    }
    return undefined;
  }

  async #fetch(dir: string, source: GitSource): Promise<string> {
    const { url, ref } = source;
    const fetch = (...what: string[]) =>
      this.#run(url, 'fetched', (git) => git.raw('fetch', '--progress', '--force', ...what), dir);
    await fetch('--prune', '--tags', 'origin', '+refs/heads/*:refs/remotes/origin/*');
    if (ref === undefined)
      await this.#run(url, 'asked', (git) => git.raw('remote', 'set-head', 'origin', '--auto'), dir);
    const found = await this.#find(dir, source);
    if (found !== undefined) return found;
    const refuse = (problem: string) => new GitRefError({ url: withoutSecret(url), ref: ref ?? 'HEAD', problem });
    if (ref === undefined) throw refuse('it has no default branch');
    // A commit that no branch has any more: some servers still give it.
    if (isFullCommit(ref)) {
      await fetch('origin', ref).catch(() => {}); // not given: told below
      const rare = await this.#find(dir, source);
      if (rare !== undefined) return rare;
    }
    throw refuse('it has no such branch, tag or commit');
  }

  /** Not quietly: a large one takes longer than a silence may. */
  async #moveTo(dir: string, commit: string, { url, recursive }: GitSource, how: string): Promise<void> {
    await this.#run(url, 'checked out', (git) => git.raw('checkout', '--progress', '--detach', how, commit), dir);
    if (!recursive) return;
    await this.#run(
      url,
      'completed with its submodules',
      async (git) => {
        await git.raw('submodule', 'sync', '--recursive');
        return git.raw('submodule', 'update', '--init', '--recursive', '--force', '--progress');
      },
      dir,
      // Git refuses paths of this machine to submodules, lest a stranger's repository reads ours. This one is ours.
      isLocalUrl(url) ? ['protocol.file.allow=always'] : [],
    );
  }

  #run(
    url: string,
    action: string,
    work: (git: SimpleGit) => Promise<string>,
    dir?: string,
    config: readonly string[] = [],
  ): Promise<string> {
    return runGit(this.#options, { url, action, dir, config }, work);
  }
}

/** In porcelain format 1: two letters, a blank and the path; what simple-git trims may be the first of the letters. */
const editsIn = (status: string): string[] =>
  status.split('\0').flatMap((entry) => (entry === '' ? [] : [entry.replace(/^.{1,2} /, '')]));
