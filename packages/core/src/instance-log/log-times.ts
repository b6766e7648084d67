import { closeSync, constants, fstatSync, openSync, readSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { openIfThere, timesPath } from './log-files.ts';

/** What was seen of a log: at `time` (milliseconds since the epoch) exactly the bytes before `offset` were written. */
export interface LogTime {
  readonly offset: number;
  readonly time: number;
}

const entryBytes = 16;
const blockEntries = 1024;

/** The side index of a log: entries of ascending offset and time, read by bisection. Missing, it is empty. */
export class LogTimes implements Disposable {
  readonly length: number;
  readonly #file: number | undefined;
  #block: { first: number; entries: LogTime[] } = { first: 0, entries: [] };

  constructor(file: string) {
    this.#file = openIfThere(timesPath(file));
    this.length = this.#file === undefined ? 0 : Math.floor(fstatSync(this.#file).size / entryBytes);
  }

  at(index: number): LogTime | undefined {
    if (index < 0 || index >= this.length) return undefined;
    const { first, entries } = this.#block;
    if (index < first || index >= first + entries.length) this.#load(index - (index % blockEntries));
    return this.#block.entries[index - this.#block.first];
  }

  /** The first entry of which the test holds; it holds of all that follow. The length when there is none. */
  first(test: (entry: LogTime) => boolean): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const isFar = high - low > blockEntries;
      const entry = isFar ? this.#read(middle, 1)[0] : this.at(middle);
      if (entry && !test(entry)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The entries that say when the bytes of a range were written. */
  around(from: number, to: number): LogTime[] {
    const found: LogTime[] = [];
    for (let index = this.first(({ offset }) => offset > from) - 1; index < this.length; index += 1) {
      const entry = this.at(index);
      if (entry) found.push(entry);
      if (entry && entry.offset >= to) break;
    }
    return found;
  }

  [Symbol.dispose](): void {
    if (this.#file !== undefined) closeSync(this.#file);
  }

  #load(first: number): void {
    this.#block = { first, entries: this.#read(first, Math.min(blockEntries, this.length - first)) };
  }

  #read(first: number, length: number): LogTime[] {
    if (this.#file === undefined) return [];
    const bytes = Buffer.allocUnsafe(length * entryBytes);
    const count = Math.floor(readSync(this.#file, bytes, 0, bytes.length, first * entryBytes) / entryBytes);
    return Array.from({ length: count }, (_, index) => ({
      offset: bytes.readDoubleLE(index * entryBytes),
      time: bytes.readDoubleLE(index * entryBytes + 8),
    }));
  }
}

/** Adds entries at the end; over one that a full disk or a crash left unfinished. */
export function appendTimes(file: string, entries: readonly LogTime[]): void {
  const index = openSync(timesPath(file), constants.O_RDWR | constants.O_CREAT, 0o640);
  try {
    const { size } = fstatSync(index);
    const bytes = packed(entries);
    const written = writeSync(index, bytes, 0, bytes.length, size - (size % entryBytes));
    if (written < bytes.length) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
  } finally {
    closeSync(index);
  }
}

/** Forgets what is known of bytes before `offset`, once that is most of the index. */
export function forgetTimesBefore(file: string, offset: number): void {
  using times = new LogTimes(file);
  const first = times.first((entry) => entry.offset > offset) - 1;
  if (first * 2 < times.length || first < blockEntries) return;
  const kept: LogTime[] = [];
  for (let index = first; index < times.length; index += 1) {
    const entry = times.at(index);
    if (entry) kept.push(entry);
  }
  const draft = `${timesPath(file)}.part`;
  writeFileSync(draft, packed(kept), { mode: 0o640 });
  renameSync(draft, timesPath(file));
}

function packed(entries: readonly LogTime[]): Buffer {
  const bytes = Buffer.alloc(entries.length * entryBytes);
  entries.forEach(({ offset, time }, index) => {
    bytes.writeDoubleLE(offset, index * entryBytes);
    bytes.writeDoubleLE(time, index * entryBytes + 8);
  });
  return bytes;
}
