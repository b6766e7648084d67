import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ignoreMissing } from '@mgpu/core';
import { TcmallocMissingError } from './errors.ts';

const folders = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib', '/usr/local/lib'];
const names = ['libtcmalloc_minimal.so.4', 'libtcmalloc.so.4'];

/**
 * Path of the library that keeps the program's memory from growing with every change of checkpoint; undefined when the
 * system has none, or none is wanted. Throws `A1111_TCMALLOC_MISSING` for a path that is not there.
 */
export async function findTcmalloc(wanted: string, places: readonly string[] = folders): Promise<string | undefined> {
  if (wanted === 'off') return undefined;
  const isThere = async (path: string) => (await stat(path).catch(ignoreMissing))?.isFile() === true;
  if (wanted !== 'auto') {
    if (await isThere(wanted)) return wanted;
    throw new TcmallocMissingError({ path: wanted });
  }
  for (const path of places.flatMap((folder) => names.map((name) => join(folder, name)))) {
    if (await isThere(path)) return path;
  }
  return undefined;
}
