import type { Clock } from '../clock.ts';
import { LogChanges } from './log-changes.ts';
import { logEnd, logStart } from './log-source.ts';
import { type LogLine, LogReader } from './read-log.ts';

/** A log that is read in steps, from where it was opened. */
export interface LogFeed extends Disposable {
  /** The lines that have ended since the last step, up to the present end. */
  read(signal: AbortSignal): AsyncGenerator<readonly LogLine[], void>;
  /** The line at the end that has not ended yet. */
  partial(): LogLine | undefined;
  /** Resolves when there may be more, or the signal fires. */
  changed(signal: AbortSignal): Promise<void>;
}

/** How long a log may end before what was read of it. Its keeper accepts within seconds that a file was removed. */
const restartedMs = 20_000;

/** What an instance prints. Not before `from`; lines that begin before `to`, which ends it. Logical offsets. */
export class InstanceFeed implements LogFeed {
  readonly #file: string;
  readonly #to: number;
  readonly #clock: Clock;
  readonly #changes: LogChanges;
  #reader: LogReader;
  #isWatched = false;
  #shortSince: number | undefined;

  constructor(file: string, { from, to, clock }: { from: number; to: number; clock: Clock }) {
    this.#file = file;
    this.#to = to;
    this.#clock = clock;
    this.#changes = new LogChanges(file, clock);
    this.#reader = new LogReader(file, { from, clock });
  }

  async *read(signal: AbortSignal): AsyncGenerator<readonly LogLine[], void> {
    this.#beginAnew();
    yield* this.#reader.read({ to: this.#to, signal });
  }

  partial(): LogLine | undefined {
    const partial = this.#reader.partial();
    return partial && partial.offset < this.#to ? partial : undefined;
  }

  async changed(signal: AbortSignal): Promise<void> {
    if (this.#isWatched) return this.#changes.next(signal);
    // What came between the last step and this is read at once.
    this.#changes.watch();
    this.#isWatched = true;
  }

  /** Where somebody removed an instance's folder, its log has become another one. */
  #beginAnew(): void {
    if (logEnd(this.#file).offset >= this.#reader.position) {
      this.#shortSince = undefined;
      return;
    }
    this.#shortSince ??= this.#clock.elapsed();
    if (this.#clock.elapsed() - this.#shortSince < restartedMs) return;
    this.#reader = new LogReader(this.#file, { from: logStart(this.#file), clock: this.#clock });
  }

  [Symbol.dispose](): void {
    this.#changes[Symbol.dispose]();
  }
}
