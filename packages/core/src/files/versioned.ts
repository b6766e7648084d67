import { constants, readFileSync, rmSync } from 'node:fs';
import type { z } from 'zod';
import { FileInvalidError, FileVersionError } from '../errors/core-errors.ts';
import { problemsOf } from '../errors/problems-of.ts';
import { createBootFile, writeBootFile, writeFileAtomically, writeFileAtomicallySync } from './atomic.ts';

/** What tells whether something is such a document: a schema of zod, or of its small form. */
export interface DocumentSchema<T> {
  safeParse(
    document: unknown,
  ): { readonly success: true; readonly data: T } | { readonly success: false; readonly error: z.core.$ZodError };
}

/** A persisted JSON document with a version field `v`. */
export interface VersionedFile<T> {
  read(): T | undefined;
  write(value: T): Promise<void>;
  /** Before it returns: for what is rare, and must be on disk before anything is told of it. */
  writeSync(value: T): void;
}

/** A JSON document that means nothing after a reboot of the host. What was written is there for whoever comes after a crash of ours. */
export interface BootFile<T> {
  read(): T | undefined;
  write(value: T): void;
  /** Writes it unless there is one; false when there is. */
  create(value: T): boolean;
  remove(): void;
}

/**
 * A JSON file `{ v, … }`. A missing file reads as undefined; one of a newer version is refused with
 * `CORE_FILE_VERSION`, one that is no such document with `CORE_FILE_INVALID`. Written atomically, mode 0600.
 */
export function versionedFile<T extends object>(
  path: string,
  v: number,
  schema: DocumentSchema<T>,
  /** `former` reads the version before, where there is one, and makes the present document of it. */
  { former }: { readonly former?: DocumentSchema<T> } = {},
): VersionedFile<T> {
  const schemas = new Map([[v, schema], ...(former ? [[v - 1, former] as const] : [])]);
  return {
    read() {
      const text = read(path);
      if (text === undefined) return undefined;
      const document = parse(text, (cause) => {
        throw new FileInvalidError({ path, problem: 'not JSON' }, { cause });
      });
      return checked(document, { path, v, schemas });
    },
    write: (value) => writeFileAtomically(path, textOf(v, value)),
    writeSync: (value) => writeFileAtomicallySync(path, textOf(v, value)),
  };
}

/**
 * As `versionedFile`, for what is written often, must be there at once, and is of one boot of the host alone: so small that a
 * thread would cost more than the writing, and not synced. What a crash of the host has torn is removed and reads as
 * undefined.
 */
export function bootFile<T extends object>(path: string, v: number, schema: DocumentSchema<T>): BootFile<T> {
  const remove = () => rmSync(path, { force: true });
  return {
    read() {
      const text = read(path);
      if (text === undefined) return undefined;
      const document = parse(text, remove);
      return document === undefined ? undefined : checked(document, { path, v, schemas: new Map([[v, schema]]) });
    },
    write: (value) => writeBootFile(path, textOf(v, value)),
    create: (value) => createBootFile(path, textOf(v, value)),
    remove,
  };
}

function read(path: string): string | undefined {
  try {
    // A pipe of that name must not keep all of us waiting for its other end.
    return readFileSync(path, { encoding: 'utf8', flag: constants.O_RDONLY | constants.O_NONBLOCK });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Undefined for what is no JSON, which is told. */
function parse(text: string, onFailure: (cause: unknown) => void): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    onFailure(cause);
    return undefined;
  }
}

function checked<T>(
  document: unknown,
  { path, v, schemas }: { path: string; v: number; schemas: ReadonlyMap<number, DocumentSchema<T>> },
): T {
  const version = (document as { v?: unknown } | null)?.v;
  if (typeof version === 'number' && version > v) throw new FileVersionError({ path, version, supported: v });
  const known = schemas.get(version as number);
  if (!known) throw new FileInvalidError({ path, problem: versionProblem(version) });
  const parsed = known.safeParse(document);
  if (parsed.success) return parsed.data;
  throw new FileInvalidError({ path, problem: problemsOf(parsed.error, 'document').join('; ') });
}

const textOf = (v: number, value: object) => `${JSON.stringify({ v, ...value })}\n`;

const versionProblem = (version: unknown) =>
  typeof version === 'number' ? `its version ${version} is not read any more` : 'it has no version `v`';
