import { existsSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, ignore, lockFolder, MgpuError, redact, systemClock } from '@mgpu/core';
import { Git, GitBehindError, type GitConflict, type GitIdentity, GitInTheWayError } from '@mgpu/core/git';
import { workflowsSchema } from './config.ts';
import { copyName } from './copy-name.ts';
import { type Edits, findEdits } from './edits.ts';
import { NoRepositoryError, OtherBranchError, OtherRepositoryError, UnfinishedWorkError } from './errors.ts';
import { Pass, RemoteProblem } from './pass.ts';
import type { SyncReport } from './report.ts';

export interface WorkflowSyncOptions {
  /** The checkout; made when it is not there. What lies in it already is shared. */
  readonly dir: string;
  /** Default: the repository it is a checkout of. */
  readonly url?: string | undefined;
  /** Default: the branch that is checked out, else the repository's own default. */
  readonly branch?: string | undefined;
  /** Folder in the checkout, where not all of it is shared. */
  readonly folder?: string | undefined;
  /** Patterns of new files that are not shared. Default: scratch files, see `workflowsSchema`. */
  readonly exclude?: readonly string[];
  /** Default 20 MiB. */
  readonly maxFileBytes?: number;
  /** Default `share`. */
  readonly deletions?: 'share' | 'restore';
  /** Name of this machine, for commits and copies. */
  readonly machine: string;
  /** What Git inherits: PATH, HOME, credentials (`gitEnvironment` of core). Asked for at every pass. */
  readonly env: () => Readonly<Record<string, string | undefined>>;
  readonly clock?: Clock;
}

/** Somebody else may push, or write here, at any moment of a pass; it begins anew that often. */
const attempts = 8;
/** Milliseconds that a server may be silent. */
const stallMs = 30_000;
const defaults = workflowsSchema.parse({});

/**
 * Keeps a folder and a branch of a Git repository in step. A pass commits what differs here, fetches, puts our commits on top of
 * what came, moves the folder there, and pushes. Nothing that anybody wrote is lost: a conflict keeps both versions, files that
 * differ from what was committed are never written over, and no push is by force. One that is killed is gone on with.
 */
export class WorkflowSync {
  readonly #options: WorkflowSyncOptions;
  readonly #clock: Clock;

  constructor(options: WorkflowSyncOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** Whether there is a checkout with something to share or to give back; looks only, and at nothing but the disk. */
  async hasEdits(): Promise<boolean> {
    if (!this.#isRepository) return false;
    const { share, restore } = await this.#edits(this.#git());
    return share.length + restore.length > 0;
  }

  /**
   * One pass. What keeps it from the repository is in the report; throws for what is wrong here: `CORE_FOLDER_BUSY`,
   * `CORE_GIT_LOCKED`, `CORE_GIT_IN_THE_WAY`, `CORE_GIT_FAILED`, `WORKFLOWS_…`. The signal calls off what takes long.
   */
  async sync({ signal }: { signal?: AbortSignal } = {}): Promise<SyncReport> {
    const { dir } = this.#options;
    using _lock = await lockFolder(dir);
    signal?.throwIfAborted();
    // What changes the folder is short, and not to be killed in the middle.
    const pass = new Pass(this.#git(), this.#git(signal), signal);
    if (!this.#isRepository && this.#options.url === undefined) throw new NoRepositoryError({ dir });
    return await pass.reported(this.#run(pass));
  }

  async #run(pass: Pass): Promise<void> {
    const { git } = pass;
    const { dir } = this.#options;
    const { url, origin, branch } = await this.#open(pass);
    let inTheWay = '';
    for (let attempt = 1; ; attempt++) {
      const edits = await this.#share(pass);
      pass.left = edits.left;
      const { commit: head } = await git.head(dir);
      pass.commit = head;
      const theirs = await pass.network(() => pass.remote.fetchBranch(dir, { url, branch }));
      const base = head && theirs && (await git.mergeBase(dir, head, theirs));
      if (head && theirs && !base && origin !== undefined && origin !== url)
        throw new OtherRepositoryError({ dir, origin: redact(origin), url: redact(url) });
      if (origin !== url) await git.setOrigin(dir, url);
      try {
        const { target, conflicts } = await this.#target(pass, { head, theirs, base });
        if (target !== undefined && target !== head) {
          await git.moveBranch(dir, branch, target);
          pass.moved(target, conflicts);
        }
        if (target !== undefined && target !== theirs) {
          await pass.network(() => pass.remote.push(dir, { url, branch, commit: target }));
          pass.pushed = true;
        }
        return;
      } catch (error) {
        if (attempt >= attempts) throw error;
        if (error instanceof GitInTheWayError && error.details.files.join() !== inTheWay) {
          inTheWay = error.details.files.join();
          await this.#putAside(git, error.details.files);
        } else if (error instanceof RemoteProblem && error.problem.code === GitBehindError.code)
          await this.#clock.sleep(Math.random() * 200 * attempt, { signal: pass.signal });
        else throw error;
      }
    }
  }

  /** The repository, and the branch that is or comes to be checked out. */
  async #open(pass: Pass): Promise<{ url: string; origin: string | undefined; branch: string }> {
    const { git } = pass;
    const { dir, branch: wanted } = this.#options;
    if (!this.#isRepository) {
      const url = this.#options.url as string;
      const branch = wanted ?? (await pass.network(() => pass.remote.defaultBranch(url))) ?? 'main';
      await git.begin(dir, branch);
      return { url, origin: undefined, branch };
    }
    await git.recover(dir);
    const work = await git.unfinished(dir);
    if (work !== undefined) throw new UnfinishedWorkError({ dir, work });
    const origin = await git.origin(dir);
    const url = this.#options.url ?? origin;
    if (url === undefined) throw new NoRepositoryError({ dir });
    const { branch: found } = await git.head(dir);
    const branch = wanted ?? found;
    if (branch === undefined || found !== branch)
      throw new OtherBranchError({ dir, branch: branch ?? 'a branch', found });
    return { url, origin, branch };
  }

  /** Commits what differs here. */
  async #share(pass: Pass): Promise<Edits> {
    const { git } = pass;
    const { dir, machine } = this.#options;
    for (let attempt = 1; ; attempt++) {
      const edits = await this.#edits(git);
      if (edits.restore.length > 0) {
        await git.restore(dir, edits.restore);
        pass.gaveBack(edits.restore);
      }
      if (edits.share.length === 0) return edits;
      try {
        const { length } = edits.share;
        const message = `Auto-sync workflows of ${machine}: ${length === 1 ? edits.share[0] : `${length} files`}`;
        if (await git.commit(dir, edits.share, { message, author: this.#author })) pass.shared(edits.share);
        return edits;
      } catch (error) {
        // A file went away between the look and the commit; Git commits nothing then.
        const isGone = error instanceof MgpuError && /did not match any files/.test(error.message);
        if (!isGone || attempt >= attempts) throw error;
      }
    }
  }

  /** What is to be checked out, and pushed where it is not theirs; undefined while nobody has anything. */
  async #target(
    pass: Pass,
    { head, theirs, base }: { head?: string | undefined; theirs?: string | undefined; base?: string | undefined },
  ): Promise<{ target: string | undefined; conflicts: readonly GitConflict[] }> {
    const { dir, machine } = this.#options;
    if (head === undefined || theirs === undefined) return { target: theirs ?? head, conflicts: [] };
    if (base === head) return { target: theirs, conflicts: [] };
    if (base === theirs) return { target: head, conflicts: [] };
    const at = this.#clock.now();
    const copyOf = (path: string) => copyName(path, { machine, at });
    const { commit, conflicts } = await pass.git.rebase(dir, { onto: theirs, copyOf, author: this.#author });
    return { target: commit, conflicts };
  }

  /** Files that Git does not keep make room under another name; those it keeps are committed by the next attempt. */
  async #putAside(git: Git, files: readonly string[]): Promise<void> {
    const { dir, machine } = this.#options;
    const kept = new Set(await git.files(dir));
    for (const path of files.filter((each) => !kept.has(each))) {
      const copy = copyName(path, { machine, at: this.#clock.now() });
      await rename(join(dir, path), join(dir, copy)).catch(ignore('ENOENT'));
    }
  }

  /** Where the account has no name of its own. */
  get #author(): GitIdentity {
    const { machine } = this.#options;
    return { name: machine, email: `mgpu@${machine.replaceAll(/[^\w.-]+/g, '-')}` };
  }

  #edits(git: Git): Promise<Edits> {
    const { dir, folder = '.', exclude = defaults.exclude, deletions = 'share' } = this.#options;
    const { maxFileBytes = defaults.maxFileMiB * 1_048_576 } = this.#options;
    return findEdits(git, { dir, folder, exclude, maxFileBytes, deletions });
  }

  get #isRepository(): boolean {
    return existsSync(join(this.#options.dir, '.git'));
  }

  #git(signal?: AbortSignal): Git {
    return new Git({ env: this.#options.env(), stallMs, ...(signal ? { signal } : {}) });
  }
}
