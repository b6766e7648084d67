import { logEnd, type NamedLine, type NamedLog } from '@mgpu/core';
import { z } from 'zod';

const form = z.record(z.string().max(200), z.number().int().nonnegative());

/**
 * How far somebody has got in each of several logs, as a word for whoever comes back (`Last-Event-ID`): an offset for each, of the
 * daemon's own a time, whose last millisecond may come twice.
 */
export class LogCursor {
  readonly #positions: Map<string, number>;
  /** Whether somebody comes for the first time, or with a word that is none of ours. */
  readonly isNew: boolean;

  private constructor(positions: Readonly<Record<string, number>> | undefined) {
    this.#positions = new Map(Object.entries(positions ?? {}));
    this.isNew = positions === undefined;
  }

  static from(word: unknown): LogCursor {
    return new LogCursor(typeof word === 'string' ? positionsIn(word) : undefined);
  }

  /** The logs from where each was left. Of a new cursor everything that is there by now counts as passed. */
  place(logs: readonly NamedLog[]): NamedLog[] {
    if (!this.isNew) return logs.map((log) => ({ ...log, from: this.#positions.get(log.name) }));
    for (const log of logs) this.#positions.set(log.name, 'file' in log ? logEnd(log.file).offset : Date.now());
    return [...logs];
  }

  passed(lines: readonly NamedLine[], daemon: string): void {
    for (const { instance, isPartial, end, time } of lines)
      if (!isPartial) this.#pass(instance, instance === daemon ? time : end);
  }

  get word(): string {
    return Buffer.from(JSON.stringify(Object.fromEntries(this.#positions))).toString('base64url');
  }

  #pass(name: string, position: number): void {
    this.#positions.set(name, Math.max(this.#positions.get(name) ?? 0, position));
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
