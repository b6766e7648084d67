import type { MgpuError } from '@mgpu/core';
import type { GitConflict } from '@mgpu/core/git';

/** A file that is not shared, and why, in words. */
export interface LeftFile {
  readonly path: string;
  readonly why: string;
}

/** What a pass did. */
export interface SyncReport {
  /** Full id of what is checked out afterwards; undefined while there is none. */
  readonly commit: string | undefined;
  /** Files of this machine that were committed, relative to the checkout. */
  readonly committed: readonly string[];
  /** Whether files came from the repository. */
  readonly received: boolean;
  /** Whether commits went to the repository. */
  readonly pushed: boolean;
  /** Files that both sides had changed: the repository's version has the name, ours is in `copy`. */
  readonly conflicts: readonly GitConflict[];
  /** Files that were removed here and given back. */
  readonly restored: readonly string[];
  /** Apart from those that are excluded. */
  readonly left: readonly LeftFile[];
  /** What kept it from the repository: a missing credential, the network. What is committed goes there with a later pass. */
  readonly problem: MgpuError | undefined;
}
