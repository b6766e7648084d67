import { stripVTControlCharacters } from 'node:util';
import { type LogLevel, logLevels } from '../logs/logger.ts';
import { lineLevel } from './line-level.ts';
import type { LogLine } from './read-log.ts';

/** A line of one of several logs. */
export interface NamedLine extends LogLine {
  /** The name of its log: the instance. */
  readonly instance: string;
  /** What it says of itself, else the level of the line before it; `info` where nothing says anything. */
  readonly level: LogLevel;
}

/** What tells whether a text is meant: a regular expression, or one of a library that is safe with those of strangers. */
export interface LineMatcher {
  test(text: string): boolean;
}

/** Which lines are wanted. */
export interface LineFilter {
  /** Those so severe, or more. */
  readonly level?: LogLevel | undefined;
  /** Those in which it matches; control sequences are left out before. */
  readonly grep?: LineMatcher | undefined;
  /** Those written at this time or later, milliseconds since the epoch. */
  readonly since?: number | undefined;
  /** Those written up to this time, as far as that is known; milliseconds since the epoch. */
  readonly until?: number | undefined;
}

/** Gives the lines of one log their name and level, and leaves out those that are not wanted. */
export class LineSieve {
  readonly #name: string;
  readonly #since: number;
  readonly #until: number;
  readonly #severest: number;
  readonly #grep: LineMatcher | undefined;
  /** Of the line before. */
  #level: LogLevel | undefined;

  constructor(
    name: string,
    { level = 'debug', grep, since = 0, until = Number.POSITIVE_INFINITY }: LineFilter,
    levelBefore?: LogLevel,
  ) {
    this.#name = name;
    this.#since = since;
    this.#until = until;
    this.#severest = logLevels.indexOf(level);
    this.#grep = grep instanceof RegExp ? withoutMemory(grep) : grep;
    this.#level = levelBefore;
  }

  take(lines: readonly LogLine[]): NamedLine[] {
    const wanted: NamedLine[] = [];
    for (const line of lines) {
      const level = lineLevel(line.text) ?? this.#level ?? 'info';
      if (!line.isPartial) this.#level = level;
      if (this.#isInTime(line) && logLevels.indexOf(level) <= this.#severest && this.#matches(line.text))
        wanted.push({ ...line, instance: this.#name, level });
    }
    return wanted;
  }

  #isInTime({ time, earliest = time }: LogLine): boolean {
    return time >= this.#since && earliest <= this.#until;
  }

  #matches(text: string): boolean {
    return this.#grep === undefined || this.#grep.test(stripVTControlCharacters(text));
  }
}

/** With these flags an expression remembers where it was. */
const withoutMemory = ({ source, flags }: RegExp) => new RegExp(source, flags.replace(/[gy]/g, ''));
