import type { Clock } from '../clock.ts';
import type { LogLevel } from '../logs/logger.ts';
import { DaemonFeed, daemonLogSince, daemonLogTail } from './daemon-feed.ts';
import { lastLineStart } from './last-line-start.ts';
import { lineLevel } from './line-level.ts';
import { type LineFilter, LineSieve, type NamedLine } from './line-sieve.ts';
import { InstanceFeed, type LogFeed } from './log-feed.ts';
import type { LineSource } from './log-merge.ts';
import { offsetSince, offsetUntil } from './log-range.ts';
import { logStart } from './log-source.ts';
import { type LogLine, readLog } from './read-log.ts';
import { tailStart } from './tail-start.ts';

/** A log by its name. */
export type NamedLog =
  /**
   * What an instance prints, `<instance>/logs/output.log`: from a logical offset on (default: from its beginning), lines that begin
   * before another (default: no end).
   */
  | {
      readonly name: string;
      readonly file: string;
      readonly from?: number | undefined;
      readonly to?: number | undefined;
    }
  /** The daemon's own, in files of this folder: from a time up to another. An offset of its lines is one within their file. */
  | {
      readonly name: string;
      readonly folder: string;
      readonly from?: number | undefined;
      readonly to?: number | undefined;
    };

export interface LineRange extends LineFilter {
  /** Of these the last so many. */
  readonly last?: number | undefined;
}

/** Bytes before the first line that are read for its level. */
const bytesBefore = 16 * 1024;

/** Lines that are looked at before any is given out, at most: many logs take their time for their first ones. */
const mostLines = 200;

/** The wanted lines of a log, in steps. */
export async function openLineSource(
  log: NamedLog,
  { last, level, grep, since, until }: LineRange,
  clock: Clock,
): Promise<LineSource & Disposable> {
  if ('folder' in log) {
    const { folder } = log;
    const end = Math.min(until ?? Number.POSITIVE_INFINITY, log.to ?? Number.POSITIVE_INFINITY);
    const filter = { level, grep, since: Math.max(since ?? 0, log.from ?? 0), until: end };
    const from =
      last === undefined ? daemonLogSince(folder, filter.since) : await daemonLogTail(folder, tailOf(last, filter));
    return new SievedFeed(new DaemonFeed(folder, { from, clock }), new LineSieve(log.name, filter));
  }
  const filter = { level, grep, since, until };
  const { file } = log;
  const to = Math.min(offsetUntil(file, until), log.to ?? Number.POSITIVE_INFINITY);
  const floor = log.from ?? logStart(file);
  const begin = since === undefined ? floor : await offsetSince(file, since, floor);
  const from = last === undefined ? begin : await tailFrom(file, { last, floor: begin, to }, filter);
  const sieve = new LineSieve(log.name, filter, await levelBefore(file, from));
  return new SievedFeed(new InstanceFeed(file, { from, to, clock }), sieve);
}

async function tailFrom(
  file: string,
  { last, floor, to }: { last: number; floor: number; to: number },
  filter: LineFilter,
): Promise<number> {
  const isFiltered = Object.values(filter).some((each) => each !== undefined);
  if (!isFiltered) return lastLineStart(file, { count: last, floor, end: to });
  return (await tailStart(file, { ...tailOf(last, filter), floor, to })).start;
}

/** A level that is not known counts as the least: rather more lines are read than too few. */
const tailOf = (count: number, filter: LineFilter) => ({
  count,
  sieve: () => {
    const trial = new LineSieve('', filter, 'debug');
    return (lines: readonly LogLine[]) => trial.take(lines);
  },
});

/** Of the last line before an offset that says its level; a traceback is shorter than what is looked at. */
async function levelBefore(file: string, offset: number): Promise<LogLevel | undefined> {
  const from = Math.max(logStart(file), offset - bytesBefore);
  let level: LogLevel | undefined;
  for await (const { text } of readLog(file, { from, to: offset })) level = lineLevel(text) ?? level;
  return level;
}

class SievedFeed implements LineSource, Disposable {
  readonly #feed: LogFeed;
  readonly #sieve: LineSieve;
  #told = '';

  constructor(feed: LogFeed, sieve: LineSieve) {
    this.#feed = feed;
    this.#sieve = sieve;
  }

  async *read(signal: AbortSignal): AsyncGenerator<NamedLine[], void> {
    for await (const lines of this.#feed.read(signal)) {
      for (let next = 0; next < lines.length; next += mostLines)
        yield this.#sieve.take(lines.slice(next, next + mostLines));
    }
  }

  partial(): NamedLine | undefined {
    const partial = this.#feed.partial();
    const state = `${partial?.offset} ${partial?.end}`;
    if (!partial || state === this.#told) return undefined;
    this.#told = state;
    return this.#sieve.take([partial])[0];
  }

  changed(signal: AbortSignal): Promise<void> {
    return this.#feed.changed(signal);
  }

  [Symbol.dispose](): void {
    this.#feed[Symbol.dispose]();
  }
}
