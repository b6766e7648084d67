import { maxLineBytes } from './line-splitter.ts';
import { logEnd, logParts } from './log-source.ts';

const newline = 10;
const firstWindow = 64 * 1024;
const largestWindow = 16 * 1024 * 1024;

/**
 * Where the last `count` lines before `end` begin, looked for backwards in windows that grow: not before `floor`, and not
 * more than 64 KiB a line.
 */
export async function lastLineStart(
  file: string,
  { count, floor, end: before }: { count: number; floor: number; end: number },
): Promise<number> {
  const end = Math.min(before, logEnd(file).offset);
  if (count === 0) return end;
  const lowest = Math.max(floor, end - count * maxLineBytes);
  let missing = count;
  let high = end - 1; // the end of the last line begins no further one
  for (let window = firstWindow; high > lowest; window = Math.min(2 * window, largestWindow)) {
    const low = Math.max(lowest, high - window);
    const { found } = await findNewline(file, { from: low, to: high });
    if (found >= missing) {
      const { end: start = high } = await findNewline(file, { from: low, to: high, nth: found - missing + 1 });
      return start;
    }
    missing -= found;
    high = low;
  }
  return Math.min(lowest, end);
}

/** How many newlines there are in a range, or the offset behind the `nth`. */
async function findNewline(
  file: string,
  { from, to, nth }: { from: number; to: number; nth?: number },
): Promise<{ found: number; end?: number }> {
  let found = 0;
  for await (const part of logParts(file, from)) {
    if (part.offset >= to) break;
    if (part.kind === 'gap') continue;
    const bytes = part.bytes.subarray(0, to - part.offset);
    for (let at = bytes.indexOf(newline); at >= 0; at = bytes.indexOf(newline, at + 1)) {
      found += 1;
      if (found === nth) return { found, end: part.offset + at + 1 };
    }
  }
  return { found };
}
