import type { MgpuError } from '@mgpu/core';
import type { DownloadProgress } from './download/download.ts';
import type { LinkResult } from './links/static-models.ts';

/** What became of one model. */
export interface ModelResult {
  /** Path below `shared`; of what has no place yet, its address. */
  readonly path: string;
  /** Address without secrets. */
  readonly source: string;
  /** `planned`: would be brought; `skipped`: left out on purpose, `note` says why. */
  readonly status: 'pulled' | 'present' | 'planned' | 'skipped' | 'failed';
  /** Bytes, as far as they are known. */
  readonly bytes?: number;
  readonly sha256?: string;
  readonly note?: string;
  readonly error?: MgpuError;
}

/** What became of what was asked for. */
export interface PullReport {
  readonly outcome: 'done' | 'unchanged' | 'partly failed' | 'failed';
  readonly models: readonly ModelResult[];
  /** Links under further names that could not be made, or were. */
  readonly aliases: readonly LinkResult[];
  readonly warnings: readonly string[];
  /** One line. */
  readonly summary: string;
}

export interface SyncReport extends PullReport {
  /** What was done about the bucket: nothing with the reason, or its address. */
  readonly bucket: { readonly label?: string; readonly skipped?: string; readonly error?: MgpuError };
  /** Models that were evicted to keep to `cacheGiB`. */
  readonly evicted: readonly string[];
}

/** How one of several downloads fares. */
export interface ModelProgress extends DownloadProgress {
  /** Path below `shared`. */
  readonly path: string;
  readonly state: 'running' | 'waiting' | 'done' | 'failed';
  /** Why it waits, or failed. */
  readonly error?: MgpuError;
}

export function pullReport(
  models: readonly ModelResult[],
  { aliases = [], warnings = [] }: { aliases?: readonly LinkResult[]; warnings?: readonly string[] } = {},
): PullReport {
  const count = (...wanted: ModelResult['status'][]) => models.filter(({ status }) => wanted.includes(status)).length;
  const failed = count('failed') + aliases.filter(({ status }) => status === 'failed').length;
  const done = count('pulled') + aliases.filter(({ status }) => status === 'linked').length;
  const parts = [
    [count('pulled'), 'pulled'],
    [count('planned'), 'to pull'],
    [count('present'), 'there'],
    [count('skipped'), 'left out'],
    [count('failed'), 'failed'],
  ] as const;
  const told = parts.filter(([number]) => number > 0).map(([number, word]) => `${number} ${word}`);
  const isPartly = done + count('present') > 0;
  return {
    outcome: failed > 0 ? (isPartly ? 'partly failed' : 'failed') : done > 0 ? 'done' : 'unchanged',
    models,
    aliases,
    warnings,
    summary: `${models.length} ${models.length === 1 ? 'model' : 'models'}: ${told.join(', ') || 'nothing to do'}`,
  };
}
