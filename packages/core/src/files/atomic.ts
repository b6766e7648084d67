import { randomUUID } from 'node:crypto';
import { linkSync, mkdirSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import writeFileAtomic from 'write-file-atomic';
import { ignore } from './ignore.ts';

/** Writes the whole file or nothing: temporary file beside it, fsync, rename. Mode default 0600. */
export async function writeFileAtomically(path: string, data: string | Uint8Array, mode = 0o600): Promise<void> {
  await writeFileAtomic(path, typeof data === 'string' ? data : Buffer.from(data), { mode });
}

/** As `writeFileAtomically`, before it returns. */
export function writeFileAtomicallySync(path: string, data: string): void {
  writeFileAtomic.sync(path, data, { mode: 0o600 });
}

/** Writes the whole file or nothing before it returns, not synced; makes its folder, mode 0700. Mode 0600. */
export function writeBootFile(path: string, data: string): void {
  fromDraft(path, data, (draft) => renameSync(draft, path));
}

/** As `writeBootFile`, unless there is one already: false when there is. Of many at once one gets true. */
export function createBootFile(path: string, data: string): boolean {
  try {
    fromDraft(path, data, (draft) => {
      linkSync(draft, path);
      unlinkSync(draft);
    });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function fromDraft(path: string, data: string, publish: (draft: string) => void): void {
  const draft = `${path}.${randomUUID()}`;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(draft, data, { mode: 0o600 });
    publish(draft);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}

/** The temporary file that either of them writes: the name, then a number or a UUID. */
const draftOfDocument = /\.json\.(?:\d+|[0-9a-f-]{36})$/;

/** Removes what writers of JSON documents left in a folder when they were killed. Only for when none of them lives. */
export async function removeDrafts(folder: string): Promise<void> {
  const names = (await readdir(folder).catch(ignore('ENOENT'))) ?? [];
  const drafts = names.filter((name) => draftOfDocument.test(name));
  await Promise.all(drafts.map((name) => rm(join(folder, name), { force: true })));
}
