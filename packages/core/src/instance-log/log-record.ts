import type { LogLevel } from '../logs/logger.ts';
import type { NamedLine } from './line-sieve.ts';
import { printable } from './printable.ts';

/** A line of a log as programs get it: of `mgpu logs --json`, and over HTTP. */
export interface LogRecord {
  readonly v: 1;
  /** ISO time by which its first byte was written. */
  readonly time: string;
  readonly instance: string;
  readonly level: LogLevel;
  /** Without control sequences. */
  readonly text: string;
  /** Logical offset of its first byte, which identifies it within its log. */
  readonly offset: number;
  /** Logical offset of what follows. */
  readonly end: number;
  /** Nobody kept the log when it was written: it may be as old as this, or null for unknown. ISO time. */
  readonly earliest?: string | null;
  /** So many bytes before it are lost; 0 where nobody can tell how many. */
  readonly lost?: number;
  /** It has no end yet: it comes again, with the same offset, when there is more of it. */
  readonly partial?: true;
  /** It goes on in the next one. */
  readonly split?: true;
}

export function logRecord({ instance, level, text, time, offset, end, ...marks }: NamedLine): LogRecord {
  const { earliest, lost, isPartial, isSplit } = marks;
  return {
    v: 1,
    time: new Date(time).toISOString(),
    instance,
    level,
    text: printable(text, { colours: false }),
    offset,
    end,
    ...(earliest === undefined ? {} : { earliest: earliest === 0 ? null : new Date(earliest).toISOString() }),
    ...(lost === undefined ? {} : { lost }),
    ...(isPartial ? { partial: true } : {}),
    ...(isSplit ? { split: true } : {}),
  };
}
