import { MgpuError } from '@mgpu/core';
import type { Git, GitConflict } from '@mgpu/core/git';
import type { LeftFile, SyncReport } from './report.ts';

/** The repository cannot be had now, which is no failure of what is here. */
export class RemoteProblem extends Error {
  readonly problem: MgpuError;

  constructor(problem: MgpuError) {
    super(problem.message, { cause: problem });
    this.problem = problem;
  }
}

/** What one pass works with, and what it has done so far. */
export class Pass {
  /** For what is short and changes the folder. */
  readonly git: Git;
  /** For what asks the repository; ends with the signal. */
  readonly remote: Git;
  readonly signal: AbortSignal | undefined;
  commit: string | undefined;
  pushed = false;
  left: readonly LeftFile[] = [];
  #received = false;
  readonly #committed = new Set<string>();
  readonly #restored = new Set<string>();
  readonly #conflicts: GitConflict[] = [];

  constructor(git: Git, remote: Git, signal: AbortSignal | undefined) {
    this.git = git;
    this.remote = remote;
    this.signal = signal;
  }

  shared(paths: readonly string[]): void {
    for (const path of paths) this.#committed.add(path);
  }

  gaveBack(paths: readonly string[]): void {
    for (const path of paths) this.#restored.add(path);
  }

  moved(commit: string, conflicts: readonly GitConflict[]): void {
    this.commit = commit;
    this.#received = true;
    this.#conflicts.push(...conflicts);
  }

  /** What fails in it is the repository's. */
  async network<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (this.signal?.aborted || !(error instanceof MgpuError)) throw error;
      throw new RemoteProblem(error);
    }
  }

  /** The report of the pass when that is over, or has come to where the repository cannot be had. */
  async reported(work: Promise<void>): Promise<SyncReport> {
    let problem: MgpuError | undefined;
    try {
      await work;
    } catch (error) {
      if (!(error instanceof RemoteProblem)) throw error;
      problem = error.problem;
    }
    return {
      commit: this.commit,
      committed: [...this.#committed],
      received: this.#received,
      pushed: this.pushed,
      conflicts: this.#conflicts,
      restored: [...this.#restored],
      left: this.left,
      problem,
    };
  }
}
