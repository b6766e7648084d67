import { constants } from 'node:fs';
import { type FileHandle, open, rename } from 'node:fs/promises';
import { timesPath } from './log-files.ts';

/** What was seen of a log: at `time` (milliseconds since the epoch) exactly the bytes before `offset` were written. */
export interface LogTime {
  readonly offset: number;
  readonly time: number;
}

const entryBytes = 16;
const blockEntries = 1024;

/** The side index of a log: entries of ascending offset and time, read by bisection. Missing, it is empty. */
export class LogTimes {
  readonly length: number;
  readonly #handle: FileHandle | undefined;
  #block: { first: number; entries: LogTime[] } = { first: 0, entries: [] };

  private constructor(handle: FileHandle | undefined, length: number) {
    this.#handle = handle;
    this.length = length;
  }

  static async open(file: string): Promise<LogTimes> {
    const handle = await open(timesPath(file), 'r').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    return new LogTimes(handle, handle ? Math.floor((await handle.stat()).size / entryBytes) : 0);
  }

  async at(index: number): Promise<LogTime | undefined> {
    if (index < 0 || index >= this.length) return undefined;
    const { first, entries } = this.#block;
    if (index < first || index >= first + entries.length) await this.#load(index - (index % blockEntries));
    return this.#block.entries[index - this.#block.first];
  }

  /** The first entry of which the test holds; it holds of all that follow. The length when there is none. */
  async first(test: (entry: LogTime) => boolean): Promise<number> {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const entry = await this.at(middle);
      if (entry && !test(entry)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The entries that say when the bytes of a range were written. */
  async around(from: number, to: number): Promise<LogTime[]> {
    const found: LogTime[] = [];
    for (let index = (await this.first(({ offset }) => offset > from)) - 1; index < this.length; index += 1) {
      const entry = await this.at(index);
      if (entry) found.push(entry);
      if (entry && entry.offset >= to) break;
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle?.close();
  }

  async #load(first: number): Promise<void> {
    const bytes = Buffer.alloc(Math.min(blockEntries, this.length - first) * entryBytes);
    const read = await this.#handle?.read(bytes, 0, bytes.length, first * entryBytes);
    const count = Math.floor((read?.bytesRead ?? 0) / entryBytes);
    const entries = Array.from({ length: count }, (_, index) => ({
      offset: bytes.readDoubleLE(index * entryBytes),
      time: bytes.readDoubleLE(index * entryBytes + 8),
    }));
    this.#block = { first, entries };
  }
}

/** Adds entries at the end; over one that a full disk or a crash left unfinished. */
export async function appendTimes(file: string, entries: readonly LogTime[]): Promise<void> {
  const handle = await open(timesPath(file), constants.O_RDWR | constants.O_CREAT, 0o640);
  try {
    const { size } = await handle.stat();
    const bytes = packed(entries);
    const { bytesWritten } = await handle.write(bytes, 0, bytes.length, size - (size % entryBytes));
    if (bytesWritten < bytes.length) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
  } finally {
    await handle.close();
  }
}

/** Forgets what is known of bytes before `offset`, once that is most of the index. */
export async function forgetTimesBefore(file: string, offset: number): Promise<void> {
  await using times = await LogTimes.open(file);
  const first = (await times.first((entry) => entry.offset > offset)) - 1;
  if (first * 2 < times.length || first < blockEntries) return;
  const draft = `${timesPath(file)}.part`;
  const handle = await open(draft, 'w', 0o640);
  try {
    for (let index = first; index < times.length; index += blockEntries) {
      const entries: LogTime[] = [];
      for (let each = index; each < Math.min(index + blockEntries, times.length); each += 1) {
        const entry = await times.at(each);
        if (entry) entries.push(entry);
      }
      await handle.appendFile(packed(entries));
    }
  } finally {
    await handle.close();
  }
  await rename(draft, timesPath(file));
}

function packed(entries: readonly LogTime[]): Buffer {
  const bytes = Buffer.alloc(entries.length * entryBytes);
  entries.forEach(({ offset, time }, index) => {
    bytes.writeDoubleLE(offset, index * entryBytes);
    bytes.writeDoubleLE(time, index * entryBytes + 8);
  });
  return bytes;
}
