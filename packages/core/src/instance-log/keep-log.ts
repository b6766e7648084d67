import { statSync } from 'node:fs';
import type { Clock } from '../clock.ts';
import { MgpuError, reportError } from '../errors/mgpu-error.ts';
import type { Logger } from '../logs/logger.ts';
import { archiveBytes, isFull, removeOldestArchive, trimArchives, trimMachine } from './archive.ts';
import { canCollapse, cutAlignment } from './collapse-range.ts';
import { cutHead, recoverCut } from './cut.ts';
import { type Journal, journalOf } from './journal.ts';
import { type LogLimits, logLimits } from './log-limits.ts';
import { logEnd, logStart } from './log-source.ts';
import { appendTimes, forgetTimesBefore, type LogTime, LogTimes } from './log-times.ts';
import { quietRounds, Rounds } from './rounds.ts';

export interface KeepLogOptions {
  /** What the instance's processes append to. Its folder exists. */
  readonly file: string;
  /** The machine's root, whose logs share `totalBytes`. */
  readonly root: string;
  /** Whether a process may be writing already, as when it is adopted. Default false. */
  readonly isWritten?: boolean;
  readonly clock: Clock;
  readonly log: Logger;
  /** Default `logLimits`. */
  readonly limits?: Partial<LogLimits>;
}

/** Keeps a log until it is closed. */
export interface LogKeeper {
  /** Notes what was written last. Finishes a cut under way, drops a copy. Never rejects. */
  close(): Promise<void>;
}

/** Milliseconds before something that went wrong is tried again. */
const retryMs = 10_000;
const dayMs = 24 * 60 * 60 * 1_000;

/**
 * Keeps the log of an instance, which its processes write by themselves: notes about every second (every five, while
 * nothing comes) how far it has come, archives its head when it is large or a day old, and removes archives that are too
 * many. Readers find every line once, whenever the keeper is killed.
 *
 * Where the file system cannot take the head out of a file that is written, that is done only before the run; above the
 * hard cap the file is emptied during it, and what is written at that moment is lost: recorded, and told to readers.
 *
 * Nothing that goes wrong later reaches the service: it is logged once, and tried again. Throws `CORE_FILE_VERSION` or
 * `CORE_FILE_INVALID` for a journal that cannot be used.
 */
export async function keepLog(options: KeepLogOptions): Promise<LogKeeper> {
  const keeper = new Keeper(options);
  await keeper.open();
  return keeper;
}

/** What is to be taken out of a file. */
interface Plan {
  readonly by: 'collapse' | 'truncate';
  readonly length: number;
}

class Keeper implements LogKeeper {
  readonly #file: string;
  readonly #root: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #limits: Required<LogLimits>;
  readonly #rounds: Rounds;
  readonly #closed = new AbortController();
  readonly #troubles = new Set<string>();
  #isWritten: boolean;
  /** Unknown until it is read, and after a cut that failed. */
  #journal: Journal | undefined;
  /** The last entry of the index. */
  #noted: LogTime = { offset: 0, time: 0 };
  /** When the log still ended there. */
  #lookedAt = 0;
  #isLoaded = false;
  #noting: Promise<void> | undefined;
  /** Nobody looks how long the file is then, nor believes what was known of it when that failed. */
  #isCutting = false;
  /** Looks in a row at which nothing was new. */
  #quietLooks = 0;
  #roundsToSkip = 0;
  /** The day, since the epoch, that the file's beginning is of. */
  #day = 0;
  #by: Plan['by'] | undefined;
  #isDue = false;
  #retryAt = 0;
  /** The day, since the epoch, on which archives that are too old were removed last. */
  #trimmedOn = 0;
  #rotation: Promise<void> | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor({ file, root, isWritten = false, clock, log, limits }: KeepLogOptions) {
    this.#file = file;
    this.#root = root;
    this.#isWritten = isWritten;
    this.#clock = clock;
    this.#log = log;
    const given = { ...logLimits, ...limits };
    this.#limits = { hardCap: 4 * given.maxBytes, ...given };
    this.#rounds = Rounds.of(clock);
  }

  async open(): Promise<void> {
    try {
      journalOf(this.#file).read();
    } catch (error) {
      if (error instanceof MgpuError) throw error; // anything else is tried again
    }
    await this.#try('note the times of its log', async () => this.#load());
    await this.#try('rotate its log', async () => {
      await this.#recover();
      // Where it can only be cut in silence, this is the moment.
      const isDue = !this.#isWritten && this.#isRotationDue(sizeOf(this.#file));
      if (isDue && (await this.#how()) === 'truncate') await this.#rotate();
    });
    this.#isWritten = true;
    await this.#note();
    this.#rounds.add(this);
  }

  /** A log that nobody writes is looked at ever more seldom, down to every `quietRounds`. */
  look(): void {
    this.#roundsToSkip -= 1;
    if (this.#noting || this.#isCutting || this.#roundsToSkip > 0) return;
    this.#roundsToSkip = Math.min(this.#quietLooks, quietRounds);
    this.#noting = this.#note().finally(() => {
      this.#noting = undefined;
    });
  }

  async close(): Promise<void> {
    this.#rounds.remove(this);
    this.#closed.abort();
    await this.#rotation;
    await this.#noting;
    await this.#note();
  }

  /** One after another. */
  #cut(work: (journal: Journal) => Promise<Journal>): Promise<Journal> {
    const mine = this.#turn.then(async () => {
      const before = this.#known();
      this.#journal = undefined;
      this.#isCutting = true;
      try {
        const journal = await work(before);
        this.#journal = journal;
        const gap = journal.gaps.at(-1);
        if (gap && gap.at !== before.gaps.at(-1)?.at) {
          this.#log.warn('a part of its log is lost', { file: this.#file, from: gap.from, to: gap.to });
        }
        return journal;
      } finally {
        this.#isCutting = false;
      }
    });
    this.#turn = mine.catch(() => {}); // whoever asked for it is told
    return mine;
  }

  #recover(): Promise<Journal> {
    return this.#cut(() => recoverCut(this.#file, { now: this.#clock.now(), signal: this.#closed.signal }));
  }

  #known(): Journal {
    this.#journal ??= journalOf(this.#file).read();
    return this.#journal;
  }

  #load(): void {
    const { base } = this.#known();
    using times = new LogTimes(this.#file);
    this.#noted = times.at(times.length - 1) ?? { offset: base, time: 0 };
    const begun = times.at(times.first(({ offset }) => offset > base));
    this.#day = dayOf(begun?.time ?? this.#clock.now());
    this.#isLoaded = true;
  }

  /** Notes how far the log has come; sees whether it is to be rotated. */
  async #note(): Promise<void> {
    await this.#try('note the times of its log', async () => {
      if (!this.#isLoaded) this.#load();
      const size = sizeOf(this.#file);
      const now = Math.max(this.#clock.now(), this.#noted.time);
      const { offset, time } = this.#noted;
      let { base, cut } = this.#known();
      if (!cut && base + size < offset) base = await this.#acceptLoss(base, now);
      const end = cut ? logEnd(this.#file).offset : base + size;
      if (end > offset) {
        const noted = { offset: end, time: now };
        const before = this.#lookedAt > time ? [{ offset, time: this.#lookedAt }] : [];
        appendTimes(this.#file, [...before, noted]);
        this.#noted = noted;
      }
      this.#quietLooks = end > offset ? 0 : this.#quietLooks + 1;
      this.#lookedAt = now;
      if (this.#isRotationDue(size)) this.#rotateSoon();
      else if (this.#trimmedOn !== dayOf(this.#clock.now())) this.#trimSoon();
    });
  }

  /** Somebody emptied the file or removed it: what is written from now on must not pass for what was there. */
  async #acceptLoss(from: number, now: number): Promise<number> {
    const to = this.#noted.offset;
    const at = new Date(now).toISOString();
    await this.#cut(async ({ gaps }) => {
      const journal = { base: to, gaps: [...gaps, { from, to, at }] };
      await journalOf(this.#file).write(journal);
      return journal;
    });
    return to;
  }

  #isRotationDue(size: number): boolean {
    const { maxBytes, hardCap } = this.#limits;
    if (this.#by === 'truncate' && this.#isWritten) return size > hardCap;
    return size > maxBytes || (size > cutAlignment && this.#day !== dayOf(this.#clock.now()));
  }

  #rotateSoon(): void {
    if (this.#isDue || this.#clock.elapsed() < this.#retryAt) return;
    this.#isDue = true;
    this.#rounds.oneAtATime(async () => {
      if (this.#closed.signal.aborted) return;
      this.#rotation = this.#try('rotate its log', () => this.#rotate());
      await this.#rotation;
      this.#isDue = false;
    });
  }

  /** A log that does not grow is not rotated; its archives grow old all the same. */
  #trimSoon(): void {
    this.#trimmedOn = dayOf(this.#clock.now());
    this.#rounds.oneAtATime(async () => {
      if (this.#closed.signal.aborted) return;
      this.#rotation = this.#try('remove its old archives', () => this.#trim());
      await this.#rotation;
    });
  }

  /** Archives the head until the file is small, then removes archives that are too many. */
  async #rotate(): Promise<void> {
    this.#retryAt = this.#clock.elapsed() + retryMs;
    const file = this.#file;
    let { base } = await this.#recover();
    for (let plan = await this.#plan(); plan; plan = await this.#plan()) {
      const copied = await this.#archive(plan, base);
      const isLossy = copied === undefined || (plan.by === 'truncate' && this.#isWritten);
      const length = copied === undefined ? plan.length : copied - base;
      const { by } = plan;
      const journal = await this.#cut((before) =>
        cutHead(file, before, { by, length, isLossy, now: this.#clock.now() }),
      );
      base = journal.base;
      this.#day = dayOf(this.#clock.now());
      await this.#trim();
    }
    this.#day = dayOf(this.#clock.now());
    await this.#trim();
    this.#retryAt = 0;
  }

  async #how(): Promise<Plan['by']> {
    this.#by ??= (await canCollapse(this.#file)) ? 'collapse' : 'truncate';
    return this.#by;
  }

  async #plan(): Promise<Plan | undefined> {
    const by = await this.#how();
    const size = sizeOf(this.#file);
    if (this.#closed.signal.aborted || !this.#isRotationDue(size)) return undefined;
    if (by === 'truncate') return { by, length: size };
    const { maxBytes } = this.#limits;
    // What is likely to be read soon stays in the file, where it is found without unpacking.
    const wanted = size > maxBytes ? Math.min(size - maxBytes / 4, maxBytes) : size - 1;
    const length = Math.floor(wanted / cutAlignment) * cutAlignment;
    return length > 0 ? { by, length } : undefined;
  }

  /** The logical offset behind what was archived; undefined when there is no room and the file must not grow any more. */
  async #archive({ by, length }: Plan, base: number): Promise<number | undefined> {
    const { maxBytes, hardCap } = this.#limits;
    for (;;) {
      try {
        // Before a file is emptied, what its writer adds meanwhile is copied, too.
        return await archiveBytes(this.#file, {
          from: base,
          length: by === 'truncate' ? length + maxBytes : length,
          signal: this.#closed.signal,
        });
      } catch (error) {
        if (!isFull(error)) throw error;
        if (await removeOldestArchive(this.#file)) continue;
        if (sizeOf(this.#file) <= hardCap) throw error;
        return undefined;
      }
    }
  }

  async #trim(): Promise<void> {
    this.#trimmedOn = dayOf(this.#clock.now());
    await trimArchives(this.#file, { ...this.#limits, now: this.#clock.now() });
    await trimMachine(this.#root, { ...this.#limits, now: this.#clock.now() });
    forgetTimesBefore(this.#file, logStart(this.#file));
  }

  /** Tells of trouble once, and once when it is over. */
  async #try(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
      if (this.#troubles.delete(what)) this.#log.info(`can ${what} again`, { file: this.#file });
    } catch (error) {
      if (this.#closed.signal.aborted || this.#troubles.has(what)) return;
      this.#troubles.add(what);
      this.#log.warn(`cannot ${what} for now`, { file: this.#file, error: reportError(error) });
    }
  }
}

const sizeOf = (file: string) => statSync(file, { throwIfNoEntry: false })?.size ?? 0;

const dayOf = (time: number) => Math.floor(time / dayMs);
