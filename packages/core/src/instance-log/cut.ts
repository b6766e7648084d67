import { randomUUID } from 'node:crypto';
import { type FileHandle, open, rm, truncate } from 'node:fs/promises';
import { dirname } from 'node:path';
import { LogCutError } from '../errors/core-errors.ts';
import { ignore } from '../files/ignore.ts';
import { archiveBytes, isFull } from './archive.ts';
import { awaitCollapses, collapseRange } from './collapse-range.ts';
import { type Cut, type Journal, journalOf, liveFrom, markOf } from './journal.ts';
import { archivesOf, remainsOf } from './log-files.ts';
import { hasMark } from './log-source.ts';

/**
 * Takes the head of a log out of its file. What is to be kept of it is archived already. May be killed at any point:
 *
 * 1. The journal says `copied`: nobody reads the head in the file any more. It gets a mark.
 * 2. The journal says `marked`: the mark is on disk. As long as the file begins with it, the head is there.
 * 3. The head is gone, and with it the mark. The journal says where the file begins now.
 *
 * Throws `CORE_LOG_CUT` when the head could not be taken out; `finishCut` goes on from there.
 */
export async function cutHead(
  file: string,
  state: Journal,
  { now, ...cut }: Pick<Cut, 'by' | 'length' | 'isLossy'> & { now: number },
): Promise<Journal> {
  const journal: Journal = { ...state, cut: { ...cut, id: randomUUID(), stage: 'copied' } };
  await journalOf(file).write(journal);
  return finishCut(file, journal, now);
}

/**
 * Finishes what a killed keeper left, and removes what it made for that. `now` in milliseconds since the epoch; the signal
 * ends a copy.
 */
export async function recoverCut(
  file: string,
  { now, signal }: { now: number; signal: AbortSignal },
): Promise<Journal> {
  const journal = journalOf(file).read();
  for (const path of remainsOf(file)) await rm(path, { force: true });
  // Copied, but not yet part of a cut.
  for (const { path, to } of archivesOf(file)) if (to > liveFrom(journal)) await rm(path, { force: true });
  return finishCut(file, await withRest(file, journal, signal), now);
}

/** Before a file is emptied, what was written behind the head while nobody kept the log is archived, too. */
async function withRest(file: string, journal: Journal, signal: AbortSignal): Promise<Journal> {
  const { cut } = journal;
  if (cut?.by !== 'truncate') return journal;
  const rest = await restOf(file, journal, cut);
  if (rest <= 0) return journal;
  const from = liveFrom(journal);
  // Twice: what its writer adds meanwhile is copied, too.
  const to = await archiveBytes(file, { from, position: cut.length, length: 2 * rest, signal }).catch((error) => {
    if (!isFull(error)) throw error;
    return from + rest; // lost, as on any full disk
  });
  const extended = { ...journal, cut: { ...cut, length: to - journal.base, isLossy: true } };
  await journalOf(file).write(extended);
  return extended;
}

/** Bytes behind the head, as long as that is there. */
async function restOf(file: string, journal: Journal, cut: Cut): Promise<number> {
  const handle = await openLog(file);
  if (!handle) return 0;
  try {
    const isThere = cut.stage === 'copied' || hasMark(handle.fd, journal);
    return isThere ? (await handle.stat()).size - cut.length : 0;
  } finally {
    await handle.close();
  }
}

/** Goes on with a cut from where it was interrupted; throws as `cutHead` does. */
export async function finishCut(file: string, journal: Journal, now: number): Promise<Journal> {
  let { cut } = journal;
  if (!cut) return journal;
  const handle = await openLog(file);
  if (!handle) return advance(file, journal, cut, now); // removed by somebody: the head is gone, too
  try {
    if (cut.stage === 'copied') {
      const { size } = await handle.stat();
      if (size < cut.length) return await advance(file, journal, cut, now); // emptied by somebody
      const mark = markOf(cut);
      await handle.write(mark, 0, mark.length, 0);
      await handle.datasync();
      // What the writer adds until the file is empty has no archive: it is not told to readers from here on.
      const length = cut.by === 'truncate' ? (await handle.stat()).size : cut.length;
      cut = { ...cut, length, stage: 'marked' };
      await journalOf(file).write({ ...journal, cut });
    } else if (cut.by === 'collapse' && !(await awaitCollapses(dirname(file)))) {
      throw new LogCutError({ file, problem: 'fallocate hangs' });
    }
    const isThere = () => hasMark(handle.fd, { ...journal, cut });
    if (isThere()) {
      const problem = cut.by === 'collapse' ? await collapseRange(file, cut.length) : await truncate(file);
      if (isThere()) throw new LogCutError({ file, problem: problem ?? 'its beginning is still there' });
    }
  } finally {
    await handle.close();
  }
  return advance(file, journal, cut, now);
}

/** Undefined when there is none. */
async function openLog(file: string): Promise<FileHandle | undefined> {
  return open(file, 'r+').catch(ignore('ENOENT'));
}

async function advance(file: string, { cut: _, ...journal }: Journal, cut: Cut, now: number): Promise<Journal> {
  const base = liveFrom({ ...journal, cut });
  const kept =
    archivesOf(file)
      .filter(({ from }) => from >= journal.base)
      .at(-1)?.to ?? journal.base;
  const gap = { from: Math.min(kept, base), to: base, at: new Date(now).toISOString() };
  const next = { ...journal, base, gaps: cut.isLossy ? [...journal.gaps, gap] : journal.gaps };
  await journalOf(file).write(next);
  return next;
}
