import { randomUUID } from 'node:crypto';
import { rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { GitPluginError, type SimpleGit, type SimpleGitOptions, simpleGit } from 'simple-git';
import type { MgpuError } from '../errors/mgpu-error.ts';
import { redact } from '../logs/redact.ts';
import { GitFailedError, GitInTheWayError, GitRefError, GitRepositoryError } from './errors.ts';
import { expectGitRef, expectGitUrl, isFullCommit, isLocalUrl, withoutSecret } from './git-url.ts';

export interface GitOptions {
  /** The environment it inherits: PATH, HOME with its configuration and keys, an SSH agent. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds without a sign of life before a command is given up. Default 120,000. */
  readonly stallMs?: number;
  readonly onProgress?: (progress: GitProgress) => void;
}

export interface GitProgress {
  /** Git's own word: `receiving`, `resolving`, … */
  readonly stage: string;
  readonly percent: number;
}

/** Which state of which repository: a branch, a tag or a commit; without `ref` the head of the default branch. */
export interface GitSource {
  readonly url: string;
  readonly ref?: string | undefined;
  /** With submodules. Default false. */
  readonly recursive?: boolean | undefined;
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

/** What Git may learn from the environment beyond what is no concern of its own; everything else `GIT_*` is kept from it. */
const allowEnvironment = [
  'GIT_TERMINAL_PROMPT',
  'GIT_SSH_COMMAND',
  'GIT_SSL_CAINFO',
  'GIT_SSL_CAPATH',
  'GIT_CONFIG_GLOBAL',
  'GIT_CONFIG_NOSYSTEM',
  'GIT_LFS_SKIP_SMUDGE',
];

/** Programs that would show something to somebody, or ask: Git has no need of them here, and simple-git refuses them. */
const interactive = new Set(['EDITOR', 'VISUAL', 'PAGER', 'SSH_ASKPASS', 'PREFIX']);

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
    await this.#run(dir, 'restored', (git) => git.raw('checkout', '--quiet', 'HEAD', '--', ...paths), dir);
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
      isLocalUrl(url),
    );
  }

  async #run(
    url: string,
    action: string,
    work: (git: SimpleGit) => Promise<string>,
    dir?: string,
    allowLocalSubmodules = false,
  ): Promise<string> {
    const { env, signal, stallMs = 120_000, onProgress } = this.#options;
    const options: Partial<SimpleGitOptions> = {
      ...(dir === undefined ? {} : { baseDir: dir }),
      ...(signal ? { abort: signal } : {}),
      ...(onProgress ? { progress: ({ stage, progress }) => onProgress({ stage, percent: progress }) } : {}),
      timeout: { block: stallMs },
      allowEnvironment,
      // Without it the operator's own way through a firewall would not be heeded; it comes from our environment alone.
      unsafe: { allowUnsafeSshCommand: true, allowUnsafeConfigPaths: true, allowUnsafeProtocolOverride: true },
      config: allowLocalSubmodules ? ['protocol.file.allow=always'] : [],
      trimmed: true,
    };
    try {
      return await work(simpleGit(options).env(environmentFor(env)));
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw asFailure(error as Error, { url: withoutSecret(url), action, stallMs });
    }
  }
}

/** In porcelain format 1: two letters, a blank and the path; what simple-git trims may be the first of the letters. */
const editsIn = (status: string): string[] =>
  status.split('\0').flatMap((entry) => (entry === '' ? [] : [entry.replace(/^.{1,2} /, '')]));

function environmentFor(env: GitOptions['env']): Record<string, string | undefined> {
  const allowed = Object.entries(env).filter(([name]) =>
    name.startsWith('GIT_') ? allowEnvironment.includes(name) : !interactive.has(name.toUpperCase()),
  );
  return {
    ...Object.fromEntries(allowed),
    LC_ALL: 'C', // its words are read
    GIT_TERMINAL_PROMPT: '0',
    GIT_SSH_COMMAND: env.GIT_SSH_COMMAND ?? 'ssh -oBatchMode=yes -oConnectTimeout=20',
  };
}

/** Words of Git, curl and ssh; nothing else tells these cases apart. */
const refusals =
  /authentication failed|could not read (username|password)|permission denied|access denied|HTTP 40[13]|returned error: 40[13]/i;
const missing = /not found|does not (appear to be a git repository|exist)|no such (file|device)|returned error: 404/i;
const transients =
  /could not resolve|unable to connect|failed to connect|connection (reset|refused|timed out|closed)|operation timed out|early EOF|remote end hung up|returned error: (429|5\d\d)|temporar|gnutls|SSL_|curl \d+/i;

function asFailure(
  error: Error,
  { url, action, stallMs }: { url: string; action: string; stallMs: number },
): MgpuError {
  const obstacles = /would be overwritten by checkout:\n((?:\t.+\n?)+)/.exec(error.message)?.[1];
  if (obstacles !== undefined) {
    const files = obstacles.trim().split(/\s*\n\s*/);
    return new GitInTheWayError({ url, files }, { cause: error });
  }
  if (error instanceof GitPluginError && error.plugin === 'timeout') {
    const problem = `nothing was heard for ${stallMs / 1_000} s`;
    return new GitFailedError({ url, action, problem, transient: true }, { cause: error });
  }
  const problem = reasonIn(error.message);
  if (refusals.test(problem)) return new GitRepositoryError({ url, problem, refused: true }, { cause: error });
  // Before "does not exist": a host that cannot be found may be back in a minute.
  if (transients.test(problem)) return new GitFailedError({ url, action, problem, transient: true }, { cause: error });
  if (missing.test(problem)) return new GitRepositoryError({ url, problem, refused: false }, { cause: error });
  return new GitFailedError({ url, action, problem, transient: false }, { cause: error });
}

/** The lines that say why, progress left out. */
function reasonIn(output: string): string {
  const lines = redact(output)
    .split(/[\r\n]+/)
    .map((line) => line.trim())
    .filter(Boolean);
  const telling = lines.filter((line) => /^(fatal|error|remote|ssh|ERROR)\b/.test(line));
  return (telling.length > 0 ? telling : lines.slice(-3)).slice(0, 4).join(' | ').slice(0, 500) || 'git gave no reason';
}
