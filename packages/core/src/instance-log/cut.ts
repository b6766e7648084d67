import { randomUUID } from 'node:crypto';
import { open, rm, truncate } from 'node:fs/promises';
import { dirname } from 'node:path';
import { LogCutError } from '../errors/core-errors.ts';
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

/** Finishes what a killed keeper left, and removes what it made for that. `now` in milliseconds since the epoch. */
export async function recoverCut(file: string, now: number): Promise<Journal> {
  const journal = await journalOf(file).read();
  for (const path of await remainsOf(file)) await rm(path, { force: true });
  if (journal.cut) return finishCut(file, journal, now);
  // Copied, but not yet cut.
  for (const { path, to } of await archivesOf(file)) if (to > journal.base) await rm(path, { force: true });
  return journal;
}

/** Goes on with a cut from where it was interrupted; throws as `cutHead` does. */
export async function finishCut(file: string, journal: Journal, now: number): Promise<Journal> {
  let { cut } = journal;
  if (!cut) return journal;
  const handle = await open(file, 'r+').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
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
    const isThere = () => hasMark(handle, { ...journal, cut });
    if (await isThere()) {
      const problem = cut.by === 'collapse' ? await collapseRange(file, cut.length) : await truncate(file);
      if (await isThere()) throw new LogCutError({ file, problem: problem ?? 'its beginning is still there' });
    }
  } finally {
    await handle.close();
  }
  return advance(file, journal, cut, now);
}

async function advance(file: string, { cut: _, ...journal }: Journal, cut: Cut, now: number): Promise<Journal> {
  const base = liveFrom({ ...journal, cut });
  const kept = (await archivesOf(file)).filter(({ from }) => from >= journal.base).at(-1)?.to ?? journal.base;
  const gap = { from: Math.min(kept, base), to: base, at: new Date(now).toISOString() };
  const next = { ...journal, base, gaps: cut.isLossy ? [...journal.gaps, gap] : journal.gaps };
  await journalOf(file).write(next);
  return next;
}
