import { mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ignoreMissing, writeFileAtomically } from '@mgpu/core';
import { FileInTheWayError } from '../errors.ts';

export interface ExportedFile {
  readonly name: string;
  readonly content: string;
  /** Default: 0644. */
  readonly mode?: number;
}

export interface PlacedFile extends ExportedFile {
  readonly path: string;
}

/** Writes files. Where one with other content is, none is written unless forced: `MACHINE_FILE_IN_THE_WAY`. */
export async function writeExported(files: readonly PlacedFile[], { force }: { force: boolean }): Promise<void> {
  for (const { path, content } of force ? [] : files) {
    if (![undefined, content].includes(await contentOf(path))) throw new FileInTheWayError({ path });
  }
  for (const { path, content, mode = 0o644 } of files) {
    await mkdir(dirname(path), { recursive: true });
    await writeFileAtomically(path, content, mode);
  }
}

const contentOf = (path: string) => readFile(path, 'utf8').catch(ignoreMissing);
