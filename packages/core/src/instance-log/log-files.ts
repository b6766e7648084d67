import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** A part of the stream that was taken out of the file. */
export interface Archive {
  readonly path: string;
  /** Logical offsets, `to` exclusive. */
  readonly from: number;
  readonly to: number;
}

export const journalPath = (file: string): string => `${file}.journal`;
export const timesPath = (file: string): string => `${file}.times`;
export const archivePath = (file: string, from: number, to: number): string => `${file}.${from}-${to}.gz`;

/** The archives of a log, oldest first. */
export async function archivesOf(file: string): Promise<Archive[]> {
  const prefix = `${basename(file)}.`;
  return (await filesBeside(file))
    .flatMap((name) => {
      const range = name.startsWith(prefix) && /^(\d+)-(\d+)\.gz$/.exec(name.slice(prefix.length));
      return range ? [{ path: join(dirname(file), name), from: Number(range[1]), to: Number(range[2]) }] : [];
    })
    .toSorted((a, b) => a.from - b.from);
}

/** What an interrupted cut may have left: unfinished copies and journals, second names of the file. */
export async function remainsOf(file: string): Promise<string[]> {
  const names = await filesBeside(file);
  return names
    .filter((name) => name.startsWith(`${basename(file)}.`) && /\.(part|cut|journal\.\d+)$/.test(name))
    .map((name) => join(dirname(file), name));
}

async function filesBeside(file: string): Promise<string[]> {
  return readdir(dirname(file)).catch((error: NodeJS.ErrnoException) => {
    if (isNoLog(error)) return [];
    throw error;
  });
}

/** Whether there is nothing, or something that is none of ours. */
export const isNoLog = ({ code }: NodeJS.ErrnoException) =>
  code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES';
