// Every reader of logs starts with this; the whole of zod would take 35 ms of it.
import * as z from 'zod/mini';
import { type VersionedFile, versionedFile } from '../files/versioned.ts';
import { journalPath } from './log-files.ts';

const offset = z.int().check(z.nonnegative());

const cut = z.object({
  id: z.string(),
  /** `collapse` takes the head out under the writer's hands; `truncate` empties the file. */
  by: z.enum(['collapse', 'truncate']),
  /** Bytes to take out, from the beginning of the file. */
  length: z.int().check(z.positive()),
  /** `copied`: what is to be kept of the head is archived. `marked`: the head carries the mark, or is gone. */
  stage: z.enum(['copied', 'marked']),
  /** Not all of it is archived. */
  isLossy: z.boolean(),
});

const gap = z.object({ from: offset, to: offset, at: z.iso.datetime() });

const schema = z.object({
  /** Logical offset of the first byte of the file, as long as no cut is under way. */
  base: offset,
  cut: z.optional(cut),
  /** What was lost. Bytes written at the moment the file was emptied are not even counted: `from` may equal `to`. */
  gaps: z._default(z.array(gap), []),
});

export type Journal = z.infer<typeof schema>;
export type Cut = z.infer<typeof cut>;

const untouched: Journal = { base: 0, gaps: [] };
const maxGaps = 100;

export interface JournalFile {
  read(): Journal;
  write(journal: Journal): Promise<void>;
}

/** What is known of the cuts of a log. A log that was never cut has no such file. */
export function journalOf(file: string): JournalFile {
  const document: VersionedFile<Journal> = versionedFile(journalPath(file), 1, schema);
  return {
    read: () => document.read() ?? untouched,
    write: ({ gaps, ...journal }) => document.write({ ...journal, gaps: gaps.slice(-maxGaps) }),
  };
}

/** The first logical offset that is read from the file itself: what a cut takes out is read from its archive at once. */
export const liveFrom = ({ base, cut }: Journal): number => base + (cut?.length ?? 0);

/** What a head that is archived begins with, until it is gone: so that nobody can mistake it for what follows. */
export const markOf = ({ id }: Cut): Buffer => Buffer.from(`mgpu cut ${id}\n`);
