import { closeSync, createReadStream, fstatSync, read, readSync } from 'node:fs';
import { pipeline } from 'node:stream';
import { promisify } from 'node:util';
import { createGunzip } from 'node:zlib';
import { type Journal, journalOf, liveFrom, markOf } from './journal.ts';
import { maxLineBytes } from './line-splitter.ts';
import { type Archive, archivesOf, openIfThere } from './log-files.ts';

/** The next bytes of the stream, or a range of it that is not there any more. */
export type LogPart =
  | { readonly kind: 'bytes'; readonly offset: number; readonly bytes: Buffer }
  | { readonly kind: 'gap'; readonly offset: number; readonly end: number };

const chunkBytes = 256 * 1024;

/** Whoever wants a few lines is not to wait for many: chunks grow up to `chunkBytes`. */
const firstChunkBytes = 32 * 1024;

/**
 * The stream from a logical offset to its present end: archives and file as one. Safe beside a keeper: what was read
 * while the file was cut is read again.
 */
export async function* logParts(file: string, from: number): AsyncGenerator<LogPart, void> {
  let position = from;
  let told = -1; // the end of the last gap
  let most = firstChunkBytes;
  for (;;) {
    const journal = journalOf(file).read();
    const live = liveFrom(journal);
    if (told < position && journal.gaps.some(({ to }) => to === position)) {
      told = position;
      yield { kind: 'gap', offset: position, end: position };
    }
    if (position >= live) {
      const bytes = await bytesFrom(file, journal, { position, most });
      if (bytes === 'cut') continue;
      if (bytes.length === 0) return;
      yield { kind: 'bytes', offset: position, bytes };
      position += bytes.length;
      most = Math.min(2 * most, chunkBytes);
      continue;
    }
    const archives = archivesOf(file);
    const archive = archives.find((each) => each.from <= position && position < each.to);
    if (archive) {
      const end = Math.min(archive.to, live);
      for await (const bytes of unpacked(archive, position, end)) {
        yield { kind: 'bytes', offset: position, bytes };
        position += bytes.length;
      }
      if (position === end) continue;
    }
    const next = Math.min(archives.find((each) => each.from > position)?.from ?? live, live);
    told = next;
    yield { kind: 'gap', offset: position, end: next };
    position = next;
  }
}

async function bytesFrom(
  file: string,
  journal: Journal,
  { position, most }: { position: number; most: number },
): Promise<Buffer | 'cut'> {
  using view = View.open(file, journal);
  if (!view) return Buffer.alloc(0);
  const bytes = await view.readFrom(position, most);
  return view.isUncut ? bytes : 'cut';
}

/** The logical offset behind the last byte, and when it was written in milliseconds since the epoch. */
export function logEnd(file: string): { offset: number; writtenAt: number | undefined } {
  for (;;) {
    const journal = journalOf(file).read();
    using view = View.open(file, journal);
    if (!view) return { offset: liveFrom(journal), writtenAt: undefined };
    const { end, writtenAt } = view;
    if (view.isUncut) return { offset: Math.max(end, liveFrom(journal)), writtenAt };
  }
}

/** The logical offset behind the last line that has an end; one of more than 64 KiB is split, and has one. */
export function lastLineEnd(file: string): number {
  for (;;) {
    const journal = journalOf(file).read();
    using view = View.open(file, journal);
    if (!view) return liveFrom(journal);
    const { end, rest } = view;
    if (view.isUncut) return Math.max(end - rest, liveFrom(journal));
  }
}

/** The first logical offset that can still be read. */
export function logStart(file: string): number {
  const [oldest] = archivesOf(file);
  return Math.min(oldest?.from ?? Number.POSITIVE_INFINITY, liveFrom(journalOf(file).read()));
}

/** The open file, seen by a journal: what is read is good if it is uncut afterwards. */
class View implements Disposable {
  readonly #file: string;
  readonly #fd: number;
  readonly #journal: Journal;
  readonly #hadMark: boolean;
  /** Logical offset of its first byte. */
  readonly #base: number;
  /** What is behind is about to be lost. */
  readonly #limit: number;

  /** Undefined when there is none. */
  static open(file: string, journal: Journal): View | undefined {
    const fd = openIfThere(file);
    if (fd === undefined) return undefined;
    try {
      return new View(file, fd, journal);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  private constructor(file: string, fd: number, journal: Journal) {
    this.#file = file;
    this.#fd = fd;
    this.#journal = journal;
    this.#hadMark = hasMark(fd, journal);
    const isCut = journal.cut?.stage === 'marked' && !this.#hadMark;
    const isEmptied = journal.cut?.by === 'truncate' && this.#hadMark;
    this.#base = isCut ? liveFrom(journal) : journal.base;
    this.#limit = isEmptied ? liveFrom(journal) : Number.POSITIVE_INFINITY;
  }

  get isUncut(): boolean {
    return hasMark(this.#fd, this.#journal) === this.#hadMark && isEqual(journalOf(this.#file).read(), this.#journal);
  }

  /** The logical offset behind its last byte. */
  get end(): number {
    return Math.min(this.#base + fstatSync(this.#fd).size, this.#limit);
  }

  /** Bytes behind the last newline, where there is one within the length of a line. */
  get rest(): number {
    const length = Math.min(maxLineBytes, this.end - this.#base);
    const buffer = Buffer.alloc(Math.max(0, length));
    const read = readSync(this.#fd, buffer, 0, buffer.length, this.end - this.#base - buffer.length);
    const newline = buffer.lastIndexOf(10, Math.max(0, read - 1));
    return newline < 0 && length === maxLineBytes ? 0 : read - newline - 1;
  }

  get writtenAt(): number {
    return fstatSync(this.#fd).mtimeMs;
  }

  async readFrom(position: number, most: number): Promise<Buffer> {
    const length = Math.max(0, Math.min(most, this.#limit - position));
    const buffer = Buffer.allocUnsafe(length);
    const { bytesRead } = await readAsync(this.#fd, buffer, 0, length, position - this.#base);
    return buffer.subarray(0, bytesRead);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

/** Whether the head that this journal marked is still there. */
export function hasMark(fd: number, { cut }: Journal): boolean {
  if (cut?.stage !== 'marked') return false;
  const mark = markOf(cut);
  const found = Buffer.alloc(mark.length);
  return readSync(fd, found, 0, mark.length, 0) === mark.length && found.equals(mark);
}

/** The bytes of a log may have to come from a slow disk; everything that is kept of it beside them is small. */
const readAsync = promisify(read);

/** A damaged archive ends early; one that was just removed is empty. */
async function* unpacked({ path, from }: Archive, position: number, to: number): AsyncGenerator<Buffer> {
  const source = createReadStream(path, { highWaterMark: chunkBytes });
  const gunzip = createGunzip({ chunkSize: chunkBytes });
  pipeline(source, gunzip, () => {}); // the loop gets the error, too
  let offset = from;
  try {
    for await (const chunk of gunzip as AsyncIterable<Buffer>) {
      const wanted = chunk.subarray(Math.max(0, position - offset), Math.max(0, to - offset));
      if (wanted.length > 0) yield wanted;
      offset += chunk.length;
      if (offset >= to) return;
    }
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && !code.startsWith('Z_')) throw error;
  } finally {
    source.destroy();
    gunzip.destroy();
  }
}

const isEqual = (one: Journal, other: Journal) => JSON.stringify(one) === JSON.stringify(other);
