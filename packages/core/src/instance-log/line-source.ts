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
  /** What an instance prints, `<instance>/logs/output.log`; from a logical offset on (default: from its beginning). */
  | { readonly name: string; readonly file: string; readonly from?: number | undefined }
  /** The daemon's own, in files of this folder. An offset of its lines is one within their file. */
  | { readonly name: string; readonly folder: string };

export interface LineRange extends LineFilter {
  /** Of these the last so many. */
  readonly last?: number | undefined;
}

/** Lines before the first one that are read for its level. */
const linesBefore = 100;

/** The wanted lines of a log, in steps. */
export async function openLineSource(
  log: NamedLog,
  { last, ...filter }: LineRange,
  clock: Clock,
): Promise<LineSource & Disposable> {
  const { since, until } = filter;
  const sieve = (before?: LogLevel) => new LineSieve(log.name, filter, before);
  const trial = () => {
    const each = sieve('debug'); // a level that is not known is wanted seldom enough: rather too many lines than too few
    return (lines: readonly LogLine[]) => each.take(lines);
  };
  const tail = last === undefined ? undefined : { count: last, sieve: trial };
  if ('folder' in log) {
    const { folder } = log;
    const from = tail ? await daemonLogTail(folder, tail) : daemonLogSince(folder, since ?? 0);
    return new SievedFeed(new DaemonFeed(folder, { from, clock }), sieve());
  }
  const { file } = log;
  const to = offsetUntil(file, until);
  const floor = log.from ?? logStart(file);
  const begin = since === undefined ? floor : await offsetSince(file, since, floor);
  const from = tail ? (await tailStart(file, { ...tail, floor: begin, to })).start : begin;
  return new SievedFeed(new InstanceFeed(file, { from, to, clock }), sieve(await levelBefore(file, from)));
}

async function levelBefore(file: string, offset: number): Promise<LogLevel | undefined> {
  const floor = logStart(file);
  if (offset <= floor) return undefined;
  const from = await lastLineStart(file, { count: linesBefore, floor, end: offset });
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
    for await (const lines of this.#feed.read(signal)) yield this.#sieve.take(lines);
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
