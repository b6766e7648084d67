import { statfs } from 'node:fs/promises';
import type { Clock } from '@mgpu/core';

/** How full the file system of a folder is. */
export interface DiskSample {
  /** Monotonic milliseconds. */
  readonly at: number;
  readonly path: string;
  readonly totalBytes: number;
  /** For us: what is kept back for root does not count. */
  readonly availableBytes: number;
  /** Files that can still be made; undefined where the file system does not count them. */
  readonly availableFiles: number | undefined;
}

/** Rejects with the system's error when there is no such folder. */
export async function sampleDisk(path: string, clock: Clock): Promise<DiskSample> {
  const { bsize, blocks, bavail, files, ffree } = await statfs(path);
  return {
    at: clock.elapsed(),
    path,
    totalBytes: blocks * bsize,
    availableBytes: bavail * bsize,
    availableFiles: files > 0 ? ffree : undefined,
  };
}
