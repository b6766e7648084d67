import { randomUUID } from 'node:crypto';
import { rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type GitChange, readChanges } from './git-changes.ts';
import { commitFiles, committing, type GitIdentity } from './git-commits.ts';
import { releaseLocks, unfinishedWork } from './git-locks.ts';
import { completeTornFiles, moving } from './git-moves.ts';
import { checkOutCommit, commitAtServer, fetchCommit, findCommit, type GitSource } from './git-source.ts';
import { expectGitRef, expectGitUrl, isFullCommit } from './git-url.ts';
import { type GitRebase, type RebaseOptions, rebaseApart, removeWorkTrees } from './rebase-apart.ts';
import { type GitOptions, type RunGit, runGit } from './run-git.ts';

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

/** Git for programs: never asks anybody, runs no transport helpers, and takes no option for a name. */
export class Git {
  readonly #git: RunGit;

  constructor(options: GitOptions) {
    this.#git = (call, work) => runGit(options, call, work);
  }

  /**
   * The commit that a source means at its server now; undefined for an abbreviated commit, which no server looks up. A full
   * commit is believed. Throws `CORE_GIT_URL`, `CORE_GIT_REF`, `CORE_GIT_REPOSITORY`, `CORE_GIT_FAILED`.
   */
  async remoteCommit({ url, ref }: GitSource): Promise<string | undefined> {
    expectGitUrl(url);
    if (ref !== undefined) expectGitRef(url, ref);
    if (ref !== undefined && isFullCommit(ref)) return ref;
    return commitAtServer(this.#git, { url, ref });
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
      await this.#git({ url, action: 'cloned' }, (git) =>
        git.raw('clone', '--progress', '--no-checkout', '--', url, draft),
      );
      const commit = (await findCommit(this.#git, draft, source)) ?? (await fetchCommit(this.#git, draft, source));
      await checkOutCommit(this.#git, draft, { ...source, commit, how: '--force' });
      await rename(draft, dir);
      return commit;
    } finally {
      await rm(draft, { recursive: true, force: true, maxRetries: 3 });
    }
  }

  /** What lies in `dir`; undefined when that is no checkout of its own. */
  async inspect(dir: string): Promise<GitCheckout | undefined> {
    if (!(await stat(join(dir, '.git')).catch(() => undefined))) return undefined;
    const ask = (...words: string[]) => this.#git({ url: dir, action: 'read', dir }, (git) => git.raw(...words));
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
    await this.#git({ url, action: 'checked out', dir }, (git) => git.raw('remote', 'set-url', 'origin', '--', url));
    const known = ref !== undefined && isFullCommit(ref) ? await findCommit(this.#git, dir, source) : undefined;
    const commit = known ?? (await fetchCommit(this.#git, dir, source));
    // By default Git takes what is ignored for worthless.
    await checkOutCommit(this.#git, dir, { ...source, commit, how: force ? '--force' : '--no-overwrite-ignore' });
    return commit;
  }

  /** Gives tracked files back the content they have in the commit. `paths` are relative to the checkout. */
  async restore(dir: string, paths: readonly string[]): Promise<void> {
    const words = ['--literal-pathspecs', 'checkout', '--quiet', 'HEAD', '--'];
    await this.#git({ url: dir, action: 'restored', dir }, (git) => git.raw(...words, ...paths));
  }

  /** Keeps the commit that is checked out under the name of a branch, which is moved when it is there. */
  async keep(dir: string, branch: string): Promise<void> {
    expectGitRef(dir, branch);
    await this.#git({ url: dir, action: 'kept', dir }, (git) =>
      git.raw('branch', '--no-track', '--force', branch, 'HEAD'),
    );
  }

  /** Puts edits of tracked files on Git's stash, where `git stash list` shows them under `message`. */
  async stash(dir: string, message: string): Promise<void> {
    const identity = ['-c', 'user.name=mgpu', '-c', 'user.email=mgpu@localhost'];
    await this.#git({ url: dir, action: 'stashed', dir }, (git) =>
      git.raw(...identity, 'stash', 'push', '--message', message),
    );
  }

  /** The branch that a server calls its default; undefined where there is no commit yet. Throws as `remoteCommit`. */
  async defaultBranch(url: string): Promise<string | undefined> {
    expectGitUrl(url);
    const answer = await this.#git({ url, action: 'asked' }, (git) =>
      git.raw('ls-remote', '--symref', '--', url, 'HEAD'),
    );
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
    await commitFiles((action, words, config) => this.#in(dir, action, words, config), paths, { message, author });
    const { commit } = await this.head(dir);
    return commit === before.commit ? undefined : commit;
  }

  /** Fetches the branches of a repository as those of `origin`; the commit of this one, undefined when it is not there. */
  async fetchBranch(dir: string, { url, branch }: GitBranch): Promise<string | undefined> {
    expectGitUrl(url);
    expectGitRef(url, branch);
    const words = ['fetch', '--progress', '--prune', '--no-tags', '--', url, '+refs/heads/*:refs/remotes/origin/*'];
    await this.#git({ url, action: 'fetched', dir }, (git) => git.raw(...words));
    return findCommit(this.#git, dir, { url, ref: `refs/remotes/origin/${branch}` });
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
    const config = await committing((action, words) => this.#in(dir, action, words), author);
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
    await this.#git({ url, action: 'pushed to', dir }, (git) => git.raw(...words));
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
    return this.#git({ url: dir, action, dir, config }, (git) => git.raw(...words));
  }
}

/** In porcelain format 1: two letters, a blank and the path; what simple-git trims may be the first of the letters. */
const editsIn = (status: string): string[] =>
  status.split('\0').flatMap((entry) => (entry === '' ? [] : [entry.replace(/^.{1,2} /, '')]));
