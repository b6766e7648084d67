import { lastLineStart } from './last-line-start.ts';
import { logEnd } from './log-source.ts';
import { type LogLine, readLogBatches } from './read-log.ts';

/** Lines of the first window in which lines are tried. */
const fewLines = 200;

export interface TailOptions {
  /** So many lines are wanted. */
  readonly count: number;
  /** Logical offsets: not before `floor`, lines that begin before `to`. */
  readonly floor: number;
  readonly to: number;
  /** Made for each window: gives those that are wanted of lines that follow each other. */
  readonly sieve: () => (lines: readonly LogLine[]) => readonly unknown[];
}

/**
 * Where to begin, so that the last `count` lines that are wanted follow, and how many do: looked for backwards, in
 * windows of ever more lines, none of which is held.
 */
export async function tailStart(
  file: string,
  { count, floor, to, sieve }: TailOptions,
): Promise<{ start: number; found: number }> {
  let found = 0;
  let high = Math.min(to, logEnd(file).offset);
  for (let window = Math.max(count, fewLines); found < count && high > floor; window *= 2) {
    const low = await lastLineStart(file, { count: window, floor, end: high });
    if (low >= high) break;
    const wanted = sieve();
    for await (const lines of readLogBatches(file, { from: low, to: high })) found += wanted(lines).length;
    high = low;
  }
  return { start: high, found };
}
