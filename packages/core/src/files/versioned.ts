import { readFile, rm } from 'node:fs/promises';
import type { z } from 'zod';
import { FileInvalidError, FileVersionError } from '../errors/core-errors.ts';
import { problemsOf } from '../errors/problems-of.ts';
import { createFileAtomically, writeFileAtomically } from './atomic.ts';

/** A persisted JSON document with a version field `v`. */
export interface VersionedFile<T> {
  read(): Promise<T | undefined>;
  write(value: T): Promise<void>;
  /** Writes it unless there is one; false when there is. */
  create(value: T): Promise<boolean>;
}

export interface VersionedFileOptions<T> {
  /** Reads the version before, where there is one, and makes the present document of it. */
  readonly former?: z.ZodType<T>;
  /**
   * What it says means nothing after a reboot of the host: it is not synced, and what a crash of the host has torn is removed
   * and reads as undefined. Default false.
   */
  readonly isForBoot?: boolean;
}

/**
 * A JSON file `{ v, … }`. A missing file reads as undefined; one of a newer version is refused with
 * `CORE_FILE_VERSION`, one that is no such document with `CORE_FILE_INVALID`. Written atomically, mode 0600.
 */
export function versionedFile<T extends object>(
  path: string,
  v: number,
  schema: z.ZodType<T>,
  { former, isForBoot = false }: VersionedFileOptions<T> = {},
): VersionedFile<T> {
  const schemas = new Map([[v, schema], ...(former ? [[v - 1, former] as const] : [])]);
  const textOf = (value: T) => `${JSON.stringify({ v, ...value })}\n`;
  return {
    async read() {
      const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined;
        throw error;
      });
      if (text === undefined) return undefined;
      let document: unknown;
      try {
        document = JSON.parse(text);
      } catch (cause) {
        if (isForBoot) {
          await rm(path, { force: true });
          return undefined;
        }
        throw new FileInvalidError({ path, problem: 'not JSON' }, { cause });
      }
      const version = (document as { v?: unknown } | null)?.v;
      if (typeof version === 'number' && version > v) throw new FileVersionError({ path, version, supported: v });
      const known = schemas.get(version as number);
      if (!known) throw new FileInvalidError({ path, problem: versionProblem(version) });
      const parsed = known.safeParse(document);
      if (!parsed.success)
        throw new FileInvalidError({ path, problem: problemsOf(parsed.error, 'document').join('; ') });
      return parsed.data;
    },
    write: (value) => writeFileAtomically(path, textOf(value), 0o600, { isForBoot }),
    create: (value) => createFileAtomically(path, textOf(value), { isForBoot }),
  };
}

const versionProblem = (version: unknown) =>
  typeof version === 'number' ? `its version ${version} is not read any more` : 'it has no version `v`';
