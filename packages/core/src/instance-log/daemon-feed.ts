import { statSync } from 'node:fs';
import type { Clock } from '../clock.ts';
import { daemonLogFiles } from '../logs/daemon-log-files.ts';
import { LogChanges } from './log-changes.ts';
import type { LogFeed } from './log-feed.ts';
import { type LogLine, LogReader } from './read-log.ts';
import { type TailOptions, tailStart } from './tail-start.ts';

/** Milliseconds by which the time of a file may be behind the times of its lines. */
const inexactMs = 1_000;

/** A place in the daemon's log; `offset` counts within the file. */
export interface DaemonLogPlace {
  readonly file: string | undefined;
  readonly offset: number;
}

/** What the daemon logs: its files, one after the other. Times are those the lines give; an offset is one within a file. */
export class DaemonFeed implements LogFeed {
  readonly #dir: string;
  readonly #clock: Clock;
  #file: string | undefined;
  #reader: LogReader | undefined;
  #changes: LogChanges | undefined;
  /** Of the line before. */
  #time = 0;
  /** A newer file, whose older one may still get a line that was under way. */
  #announced: string | undefined;
  #isFollowed = false;

  constructor(dir: string, { from, clock }: { from: DaemonLogPlace; clock: Clock }) {
    this.#dir = dir;
    this.#clock = clock;
    if (from.file !== undefined) this.#open(from.file, from.offset);
  }

  async *read(signal: AbortSignal): AsyncGenerator<readonly LogLine[], void> {
    for (;;) {
      const next = this.#next();
      if (this.#reader) for await (const lines of this.#reader.read({ signal })) yield this.#dated(lines);
      if (next === undefined || signal.aborted) return;
      if (this.#isFollowed && this.#reader && this.#announced !== next) {
        this.#announced = next;
        return;
      }
      const rest = this.#reader?.partial(); // of a daemon that was killed
      if (rest) yield this.#dated([withEnd(rest)]);
      this.#open(next, 0);
    }
  }

  partial(): LogLine | undefined {
    const partial = this.#reader?.partial();
    return partial && this.#dated([partial])[0];
  }

  async changed(signal: AbortSignal): Promise<void> {
    this.#isFollowed = true;
    if (this.#changes) await this.#changes.next(signal);
    else await this.#clock.sleep(1_000, { signal }).catch(() => {}); // no daemon was here yet
  }

  [Symbol.dispose](): void {
    this.#changes?.[Symbol.dispose]();
  }

  #next(): string | undefined {
    const files = daemonLogFiles(this.#dir);
    return this.#file === undefined ? files[0] : files[files.indexOf(this.#file) + 1];
  }

  #open(file: string, from: number): void {
    this.#changes?.[Symbol.dispose]();
    this.#file = file;
    this.#reader = new LogReader(file, { from, clock: this.#clock });
    this.#changes = new LogChanges(file, this.#clock);
  }

  #dated(lines: readonly LogLine[]): LogLine[] {
    const found = dated(lines, this.#time);
    this.#time = found.at(-1)?.time ?? this.#time;
    return found;
  }
}

/** With the times that they give; one that gives none has that of the line before. */
function dated(lines: readonly LogLine[], before = 0): LogLine[] {
  let last = before;
  return lines.map(({ earliest: _, ...line }) => {
    const time = Date.parse(/"timestamp":"([^"]{1,40})"/.exec(line.text)?.[1] ?? '');
    last = Number.isNaN(time) ? last || line.time : time;
    return { ...line, time: last };
  });
}

const withEnd = ({ isPartial: _, ...line }: LogLine): LogLine => line;

/** Where the daemon's log begins that was written since a time (milliseconds since the epoch): to a file. */
export function daemonLogSince(dir: string, since: number): DaemonLogPlace {
  const files = daemonLogFiles(dir);
  const isRecent = (file: string) => (statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0) > since - inexactMs;
  return { file: files.find(isRecent) ?? files.at(-1), offset: 0 };
}

/** Where its last lines begin that are wanted. */
export async function daemonLogTail(
  dir: string,
  { count, sieve }: Pick<TailOptions, 'count' | 'sieve'>,
): Promise<DaemonLogPlace> {
  let place: DaemonLogPlace = { file: undefined, offset: 0 };
  let missing = count;
  for (const file of daemonLogFiles(dir).toReversed()) {
    if (missing <= 0 && place.file !== undefined) break;
    const sieveDated = () => {
      const take = sieve();
      return (lines: readonly LogLine[]) => take(dated(lines));
    };
    const { start, found } = await tailStart(file, {
      count: missing,
      floor: 0,
      to: Number.POSITIVE_INFINITY,
      sieve: sieveDated,
    });
    place = { file, offset: start };
    missing -= found;
  }
  return place;
}
