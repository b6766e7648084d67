import { type Clock, systemClock } from '../clock.ts';
import { lastLineStart } from './last-line-start.ts';
import { LineSplitter, type SplitLine } from './line-splitter.ts';
import { LogChanges } from './log-changes.ts';
import { offsetSince, offsetUntil } from './log-range.ts';
import { logEnd, logParts, logStart } from './log-source.ts';
import { type LogTime, LogTimes } from './log-times.ts';
import { quietRounds, roundMs } from './rounds.ts';

/** A line of an instance's output. */
export interface LogLine {
  /** Logical offset of its first byte: what identifies a line, whatever happens to the file. */
  readonly offset: number;
  /** Logical offset of what follows: `from` to go on there. */
  readonly end: number;
  /**
   * Without its line end. Of a line that is written over with carriage returns the last state; invalid UTF-8 is U+FFFD;
   * colours are left in.
   */
  readonly text: string;
  /** Milliseconds since the epoch by which its first byte was written: at most about a second late, five after a pause. */
  readonly time: number;
  /** Nobody kept the log when it was written: it may be as old as this (milliseconds since the epoch, 0 for unknown). */
  readonly earliest?: number;
  /** It has no end yet: the same line, with the same offset, comes again when more of it is written. */
  readonly isPartial?: true;
  /** Longer than 64 KiB: it goes on in the next one. */
  readonly isSplit?: true;
  /** So many bytes before it are lost, or were removed since they were old; 0 where nobody can tell how many. */
  readonly lost?: number;
}

export interface ReadLogOptions {
  /** Logical offset of the first line; it counts as the beginning of one. Default: the oldest line kept. */
  readonly from?: number | undefined;
  /** Lines that begin before this logical offset. Default: the present end. */
  readonly to?: number | undefined;
  /** Lines written at this time or later, milliseconds since the epoch; up to five seconds more. */
  readonly since?: number | undefined;
  /** Lines written up to this time, milliseconds since the epoch; up to five seconds more. */
  readonly until?: number | undefined;
  /** Of these the last so many. They are looked for at most 64 KiB times their number before the end. */
  readonly last?: number | undefined;
  /** Goes on with what is written from now on, until the signal fires. Default false. */
  readonly follow?: boolean | undefined;
  /** Ends the reading: what is read until then was yielded. */
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock;
}

/** Milliseconds between two entries of the index, of a keeper that was there all the time: two rounds may be late. */
const keptMs = (quietRounds + 2) * roundMs;

/**
 * The lines of an instance's output, `<instance>/logs/output.log`: archives and file as one, beside whoever writes, keeps
 * or removes them. Memory is bounded, whatever was printed. A log that does not exist is empty. Throws
 * `CORE_FILE_VERSION` or `CORE_FILE_INVALID` for a journal of the log that cannot be used, and the system's error for
 * files that may not be read.
 */
export async function* readLog(file: string, options: ReadLogOptions = {}): AsyncGenerator<LogLine, void> {
  for await (const lines of readLogBatches(file, options)) yield* lines;
}

/** As `readLog`, many lines at once. */
export async function* readLogBatches(file: string, options: ReadLogOptions = {}): AsyncGenerator<LogLine[], void> {
  const { follow = false, signal, since = 0, clock = systemClock } = options;
  const isWanted = ({ time }: LogLine) => time >= since;
  const to = options.to ?? offsetUntil(file, options.until);
  const end = follow ? to : Math.min(to, logEnd(file).offset);
  const reader = new LogReader(file, { from: await beginning(file, options, to), clock });
  using changes = new LogChanges(file, clock);
  if (follow) changes.watch();
  let told = '';
  for (;;) {
    for await (const lines of reader.read({ to: end, signal })) {
      const wanted = lines.filter(isWanted);
      if (wanted.length > 0) yield wanted;
    }
    const partial = reader.partial();
    const state = `${partial?.offset} ${partial?.end}`;
    if (partial && partial.offset < end && state !== told && isWanted(partial)) yield [partial];
    told = state;
    if (!follow || signal?.aborted || (partial?.offset ?? reader.position) >= end) return;
    await changes.next(signal);
  }
}

/** Reads a log in steps: what is written, and later what was written since. */
export class LogReader {
  readonly #file: string;
  readonly #clock: Clock;
  readonly #lines: LineSplitter;
  /** Where the log ended when it was read last: what is behind was written later. */
  #seen: LogTime = { offset: Number.POSITIVE_INFINITY, time: 0 };
  /** What is missing before the line that begins at this offset. */
  #gap = { end: -1, bytes: 0 };

  /** `from` is a logical offset and counts as the beginning of a line. */
  constructor(file: string, { from, clock = systemClock }: { from: number; clock?: Clock }) {
    this.#file = file;
    this.#clock = clock;
    this.#lines = new LineSplitter(from);
  }

  /** The logical offset it reads next. */
  get position(): number {
    return this.#lines.position;
  }

  /** The lines that have ended, up to the present end of the log, or to the last one that begins before `to`. */
  async *read({
    to = Number.POSITIVE_INFINITY,
    signal,
  }: {
    to?: number;
    signal?: AbortSignal | undefined;
  } = {}): AsyncGenerator<LogLine[], void> {
    for await (const part of logParts(this.#file, this.position)) {
      const lines = part.kind === 'bytes' ? this.#lines.push(part.bytes) : this.#lines.skipTo(part.end);
      const wanted = lines.filter(({ offset }) => offset < to);
      if (wanted.length > 0) yield this.#timed(wanted);
      if (part.kind === 'gap') this.#skipped(part);
      if (signal?.aborted || this.#lines.begin >= to) return;
    }
    this.#seen = { offset: this.position, time: this.#clock.now() };
  }

  /** The line at the end that has not ended yet. */
  partial(): LogLine | undefined {
    const { partial } = this.#lines;
    const [line] = partial ? this.#timed([partial]) : [];
    return line && { ...line, isPartial: true };
  }

  #skipped({ offset, end }: { offset: number; end: number }): void {
    // At its end a gap is told again, as an empty one, until there is more to read.
    if (offset < end || end !== this.#gap.end) this.#gap = { end, bytes: end - offset };
  }

  #timed(lines: readonly SplitLine[]): LogLine[] {
    const end = lines.at(-1)?.end ?? 0;
    using times = new LogTimes(this.#file);
    const entries = times.around(lines[0]?.offset ?? 0, end);
    const isKnown = (entries.at(-1)?.offset ?? 0) >= end;
    const now = isKnown ? 0 : (logEnd(this.#file).writtenAt ?? this.#clock.now());
    let index = 0;
    return lines.map(({ offset, end, text, isSplit }) => {
      while ((entries[index]?.offset ?? Number.POSITIVE_INFINITY) <= offset) index += 1;
      const seen = this.#seen.offset <= offset ? this.#seen.time : 0;
      const earliest = Math.max(entries[index - 1]?.time ?? 0, seen);
      const line: Mutable<LogLine> = { offset, end, text, time: Math.max(entries[index]?.time ?? now, earliest) };
      if (line.time - earliest > keptMs) line.earliest = earliest;
      if (isSplit) line.isSplit = true;
      if (offset === this.#gap.end) line.lost = this.#gap.bytes;
      return line;
    });
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

async function beginning(file: string, { from, since, last }: ReadLogOptions, to: number): Promise<number> {
  const floor = from ?? logStart(file);
  const start = since === undefined ? floor : await offsetSince(file, since, floor);
  return last === undefined ? start : lastLineStart(file, { count: last, floor: start, end: to });
}
