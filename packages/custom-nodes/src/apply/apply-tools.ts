import type { Clock, Logger, RetryOptions } from '@mgpu/core';
import type { Git } from '@mgpu/core/git';
import type { PackPlaces } from '../packs/pack-places.ts';
import type { NodesProgress } from '../report.ts';
import type { StateFiles } from '../state-files.ts';

/** What an apply works with, and how; nothing of it changes meanwhile. Each part takes what it needs of it. */
export interface ApplyTools {
  /** The engine's checkout. */
  readonly engine: string | undefined;
  readonly files: StateFiles;
  readonly places: PackPlaces;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** For the `.env` of nodes. */
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly git: Git;
  /** For putting things back when everything else is called off. */
  readonly undisturbedGit: Git;
  readonly scripts: 'asked' | 'all' | 'none';
  readonly scriptTimeoutMs: number;
  readonly concurrency: number;
  readonly retry: RetryOptions;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onProgress: (progress: NodesProgress) => void;
  readonly signal: AbortSignal | undefined;
}
