import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '@mgpu/core';

/** Open files of the whole machine. */
export interface OpenFilesSample {
  /** Monotonic milliseconds. */
  readonly at: number;
  readonly open: number;
  readonly limit: number;
}

/** Undefined where the kernel does not tell. `root` stands for `/`. */
export function sampleOpenFiles(clock: Clock, root = '/'): OpenFilesSample | undefined {
  let text: string;
  try {
    text = readFileSync(join(root, 'proc/sys/fs/file-nr'), 'utf8');
  } catch {
    return undefined; // no /proc, or not for us
  }
  const [, open, limit] = /^(\d{1,20})\s+\d{1,20}\s+(\d{1,20})\s*$/.exec(text) ?? [];
  if (open === undefined || limit === undefined) return undefined;
  return { at: clock.elapsed(), open: Number(open), limit: Number(limit) };
}
