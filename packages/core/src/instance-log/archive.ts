import { createWriteStream } from 'node:fs';
import { type FileHandle, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip, type Gzip } from 'node:zlib';
import { archivePath, archivesOf, isNoLog, timesPath } from './log-files.ts';

const chunkBytes = 256 * 1024;
const dayMs = 24 * 60 * 60 * 1_000;

const full = new Set(['ENOSPC', 'EDQUOT']);

/** Whether there was no room for what was to be written. */
export const isFull = (error: unknown): boolean => full.has((error as NodeJS.ErrnoException).code ?? '');

/**
 * Copies up to `length` bytes of a log into an archive, whole or not at all: from `position` in the file on, which is the
 * logical offset `from`. Returns the logical offset behind what was copied.
 */
export async function archiveBytes(
  file: string,
  { from, position = 0, length, signal }: { from: number; position?: number; length: number; signal: AbortSignal },
): Promise<number> {
  const draft = `${file}.${from}.part`;
  const source = await open(file, 'r');
  try {
    const gzip = createGzip({ level: 1, chunkSize: chunkBytes });
    const copied = copyInto(gzip, source, { position, length });
    await pipeline(gzip, createWriteStream(draft, { mode: 0o640, flush: true }), { signal });
    const to = from + (await copied);
    await rename(draft, archivePath(file, from, to));
    return to;
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  } finally {
    await source.close();
  }
}

/** Through one buffer, so that the daemon stays small; what goes wrong goes the way of the bytes. */
async function copyInto(
  gzip: Gzip,
  source: FileHandle,
  { position, length }: { position: number; length: number },
): Promise<number> {
  const buffer = Buffer.alloc(chunkBytes);
  let copied = 0;
  try {
    while (copied < length) {
      const { bytesRead } = await source.read(buffer, 0, Math.min(chunkBytes, length - copied), position + copied);
      if (bytesRead === 0) break;
      copied += bytesRead;
      await new Promise<void>((resolve, reject) => {
        gzip.write(buffer.subarray(0, bytesRead), (error) => (error ? reject(error) : resolve()));
      });
    }
    gzip.end();
  } catch (error) {
    gzip.destroy(error as Error);
  }
  return copied;
}

/** Removes the oldest archive of a log; false when it has none. */
export async function removeOldestArchive(file: string): Promise<boolean> {
  const [oldest] = archivesOf(file);
  if (!oldest) return false;
  await rm(oldest.path, { force: true });
  return true;
}

/** Removes the archives of a log that are too many, too large or too old. */
export async function trimArchives(
  file: string,
  {
    keepArchives,
    keepBytes,
    keepDays,
    now,
  }: { keepArchives: number; keepBytes: number; keepDays: number; now: number },
): Promise<void> {
  let count = 0;
  let bytes = 0;
  for (const { path, size, writtenAt } of await sized(archivesOf(file).toReversed())) {
    count += 1;
    bytes += size;
    const isKept = count <= keepArchives && bytes <= keepBytes && now - writtenAt <= keepDays * dayMs;
    if (!isKept) await rm(path, { force: true });
  }
}

/**
 * Removes the archives of a machine, `<root>/<instance>/logs/output.log.*`, that are too old, whether anybody still keeps
 * that log or not; then the oldest, until all its logs fit into `totalBytes`.
 */
export async function trimMachine(
  root: string,
  { totalBytes, keepDays, now }: { totalBytes: number; keepDays: number; now: number },
): Promise<void> {
  const instances = (await readdir(root, { withFileTypes: true })).filter((entry) => entry.isDirectory());
  const files = instances.map(({ name }) => join(root, name, 'logs', 'output.log'));
  const living = await sized(files.flatMap((file) => [{ path: file }, { path: timesPath(file) }]));
  const archives = await sized(files.flatMap(archivesOf));
  let bytes = [...living, ...archives].reduce((sum, { size }) => sum + size, 0);
  for (const { path, size, writtenAt } of archives.toSorted((a, b) => a.writtenAt - b.writtenAt)) {
    if (bytes <= totalBytes && now - writtenAt <= keepDays * dayMs) return;
    await rm(path, { force: true });
    bytes -= size;
  }
}

/** With their sizes on disk and times, without those that are gone. */
async function sized(
  files: readonly { readonly path: string }[],
): Promise<{ path: string; size: number; writtenAt: number }[]> {
  const found = await Promise.all(
    files.map(({ path }) =>
      stat(path).then(
        ({ size, mtimeMs }) => [{ path, size, writtenAt: mtimeMs }],
        (error: NodeJS.ErrnoException) => {
          if (isNoLog(error)) return [];
          throw error;
        },
      ),
    ),
  );
  return found.flat();
}
