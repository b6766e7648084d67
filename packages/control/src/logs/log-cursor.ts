import { lastLineEnd, type NamedLine, type NamedLog } from '@mgpu/core';
import { z } from 'zod';

const form = z.record(z.string().max(200), z.number().int().nonnegative());

/**
 * How far somebody has got in each of several logs: an offset for each, of the daemon's own a time, whose last millisecond may come
 * twice. As a word it is for whoever comes back (`Last-Event-ID`).
 */
export class LogCursor {
  readonly #positions: Map<string, number>;

  private constructor(positions: Iterable<readonly [string, number]>) {
    this.#positions = new Map(positions);
  }

  /** Undefined for a word that is none of ours. */
  static from(word: unknown): LogCursor | undefined {
    const positions = typeof word === 'string' ? positionsIn(word) : undefined;
    return positions && new LogCursor(Object.entries(positions));
  }

  /** At the present end of each; a line that has no end yet is still to come. */
  static atEnd(logs: readonly NamedLog[]): LogCursor {
    return new LogCursor(logs.map((log) => [log.name, 'file' in log ? lastLineEnd(log.file) : Date.now()]));
  }

  /** Of lines that are given out, in the order of their log. */
  pass(lines: readonly NamedLine[], daemon: string): void {
    for (const { instance, isPartial, end, time } of lines) {
      const position = instance === daemon ? time : end;
      if (!isPartial && position > (this.#positions.get(instance) ?? 0)) this.#positions.set(instance, position);
    }
  }

  /** What is between here and another one; what that does not know is not of it. */
  upTo(other: LogCursor, logs: readonly NamedLog[]): NamedLog[] {
    return logs
      .filter(({ name }) => other.#positions.has(name))
      .map((log) => ({ ...log, from: this.#positions.get(log.name), to: other.#positions.get(log.name) }));
  }

  /** What is before it. */
  before(logs: readonly NamedLog[]): NamedLog[] {
    return new LogCursor([]).upTo(this, logs);
  }

  /** What is after it; of a log that it does not know all. */
  after(logs: readonly NamedLog[]): NamedLog[] {
    return logs.map((log) => ({ ...log, from: this.#positions.get(log.name) }));
  }

  copy(): LogCursor {
    return new LogCursor(this.#positions);
  }

  get word(): string {
    return Buffer.from(JSON.stringify(Object.fromEntries(this.#positions))).toString('base64url');
  }
}

function positionsIn(word: string): Record<string, number> | undefined {
  try {
    const parsed = form.safeParse(JSON.parse(Buffer.from(word, 'base64url').toString()));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}
