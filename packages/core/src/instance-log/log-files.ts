import { constants, openSync, readdirSync } from 'node:fs';
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
export function archivesOf(file: string): Archive[] {
  const prefix = `${basename(file)}.`;
  return filesBeside(file)
    .flatMap((name) => {
      const range = name.startsWith(prefix) && /^(\d+)-(\d+)\.gz$/.exec(name.slice(prefix.length));
      return range ? [{ path: join(dirname(file), name), from: Number(range[1]), to: Number(range[2]) }] : [];
    })
    .toSorted((a, b) => a.from - b.from);
}

/** What an interrupted cut may have left: unfinished copies and journals, second names of the file. */
export function remainsOf(file: string): string[] {
  return filesBeside(file)
    .filter((name) => name.startsWith(`${basename(file)}.`) && /\.(part|cut|journal\.\d+)$/.test(name))
    .map((name) => join(dirname(file), name));
}

function filesBeside(file: string): string[] {
  try {
    return readdirSync(dirname(file));
  } catch (error) {
    if (isNoLog(error as NodeJS.ErrnoException)) return [];
    throw error;
  }
}

/** Whether there is nothing, or something that is none of ours. */
export const isNoLog = ({ code }: NodeJS.ErrnoException) =>
  code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES';

/** A descriptor for reading; undefined when there is no such file. Never waits, not even for a pipe's other end. */
export function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
