import { lastLineStart } from './last-line-start.ts';
import { LogTimes } from './log-times.ts';

/** Behind everything that was certainly written before this time; at the beginning of a line, not before `floor`. */
export async function offsetSince(file: string, since: number, floor: number): Promise<number> {
  using times = new LogTimes(file);
  const entry = times.at(times.first(({ time }) => time > since) - 1);
  return entry === undefined || entry.offset <= floor
    ? floor
    : lastLineStart(file, { count: 1, floor, end: entry.offset });
}

/** Before everything that was certainly written later than this time. */
export function offsetUntil(file: string, until: number | undefined): number {
  if (until === undefined) return Number.POSITIVE_INFINITY;
  using times = new LogTimes(file);
  const entry = times.at(times.first(({ time }) => time > until));
  return entry?.offset ?? Number.POSITIVE_INFINITY;
}
