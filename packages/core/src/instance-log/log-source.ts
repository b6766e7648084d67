import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { type Journal, journalOf, liveFrom, markOf } from './journal.ts';
import { type Archive, archivesOf } from './log-files.ts';

/** The next bytes of the stream, or a range of it that is not there any more. */
export type LogPart =
  | { readonly kind: 'bytes'; readonly offset: number; readonly bytes: Buffer }
  | { readonly kind: 'gap'; readonly offset: number; readonly end: number };

const chunkBytes = 256 * 1024;

/**
 * The stream from a logical offset to its present end: archives and file as one. Safe beside a keeper: what was read
 * while the file was cut is read again.
 */
export async function* logParts(file: string, from: number): AsyncGenerator<LogPart, void> {
  let position = from;
  let told = -1; // the end of the last gap
  for (;;) {
    const journal = await journalOf(file).read();
    const live = liveFrom(journal);
    if (told < position && journal.gaps.some(({ to }) => to === position)) {
      told = position;
      yield { kind: 'gap', offset: position, end: position };
    }
    if (position >= live) {
      const bytes = await whileUncut(file, journal, (view) => readFrom(view, position));
      if (bytes === 'cut') continue;
      if (!bytes || bytes.length === 0) return;
      yield { kind: 'bytes', offset: position, bytes };
      position += bytes.length;
      continue;
    }
    const archives = await archivesOf(file);
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

/** The logical offset behind the last byte, and when it was written in milliseconds since the epoch. */
export async function logEnd(file: string): Promise<{ offset: number; writtenAt: number | undefined }> {
  for (;;) {
    const journal = await journalOf(file).read();
    const end = await whileUncut(file, journal, async ({ handle, base, limit }) => {
      const { size, mtimeMs } = await handle.stat();
      return { offset: Math.min(base + size, limit), writtenAt: mtimeMs };
    });
    if (end === undefined) return { offset: liveFrom(journal), writtenAt: undefined };
    if (end !== 'cut') return { offset: Math.max(end.offset, liveFrom(journal)), writtenAt: end.writtenAt };
  }
}

/** The first logical offset that can still be read. */
export async function logStart(file: string): Promise<number> {
  const journal = await journalOf(file).read();
  const [oldest] = await archivesOf(file);
  return Math.min(oldest?.from ?? Number.POSITIVE_INFINITY, liveFrom(journal));
}

/** The open file, with the logical offset of its first byte. What is behind `limit` is about to be lost. */
interface View {
  readonly handle: FileHandle;
  readonly base: number;
  readonly limit: number;
}

/** Looks at the file; `cut` when it was cut meanwhile, undefined when there is none. */
async function whileUncut<T>(
  file: string,
  journal: Journal,
  look: (view: View) => Promise<T>,
): Promise<T | 'cut' | undefined> {
  const handle = await open(file, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (!handle) return undefined;
  try {
    const before = await hasMark(handle, journal);
    const isCut = journal.cut?.stage === 'marked' && !before;
    const isEmptied = journal.cut?.by === 'truncate' && before;
    const seen = await look({
      handle,
      base: isCut ? liveFrom(journal) : journal.base,
      limit: isEmptied ? liveFrom(journal) : Number.POSITIVE_INFINITY,
    });
    const isSame = (await hasMark(handle, journal)) === before && isEqual(await journalOf(file).read(), journal);
    return isSame ? seen : 'cut';
  } finally {
    await handle.close();
  }
}

/** Whether the head that this journal marked is still there. */
export async function hasMark(handle: FileHandle, { cut }: Journal): Promise<boolean> {
  if (cut?.stage !== 'marked') return false;
  const mark = markOf(cut);
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(mark.length), 0, mark.length, 0);
  return bytesRead === mark.length && buffer.equals(mark);
}

async function readFrom({ handle, base, limit }: View, position: number): Promise<Buffer> {
  const length = Math.max(0, Math.min(chunkBytes, limit - position));
  const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(length), 0, length, position - base);
  return buffer.subarray(0, bytesRead);
}

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
