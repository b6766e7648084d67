import { randomUUID } from 'node:crypto';
import { link, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import writeFileAtomic from 'write-file-atomic';

/** Writes the whole file or nothing: temporary file beside it, fsync unless `isForBoot`, rename. Mode default 0600. */
export async function writeFileAtomically(
  path: string,
  data: string | Uint8Array,
  mode = 0o600,
  { isForBoot = false }: { isForBoot?: boolean } = {},
): Promise<void> {
  await writeFileAtomic(path, typeof data === 'string' ? data : Buffer.from(data), { mode, fsync: !isForBoot });
}

/** Writes the whole file unless there is one already: false when there is. Of many at once one gets true. Mode 0600. */
export async function createFileAtomically(
  path: string,
  data: string,
  { isForBoot = false }: { isForBoot?: boolean } = {},
): Promise<boolean> {
  const draft = `${path}.${randomUUID()}`;
  try {
    await writeFile(draft, data, { mode: 0o600, flush: !isForBoot });
    await link(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

/** The temporary file that either of them writes: the name, then a number or a UUID. */
const draftOfDocument = /\.json\.(?:\d+|[0-9a-f-]{36})$/;

/** Removes what writers of JSON documents left in a folder when they were killed. Only for when none of them lives. */
export async function removeDrafts(folder: string): Promise<void> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const drafts = names.filter((name) => draftOfDocument.test(name));
  await Promise.all(drafts.map((name) => rm(join(folder, name), { force: true })));
}
