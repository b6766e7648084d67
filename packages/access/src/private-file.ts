import { chmod, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { makePrivateFolder, writeFileAtomically } from '@mgpu/core';
import { FileModeError } from './errors.ts';

/** Makes a folder and those above it, mode 0700; also one of ours that was open before. Throws as `makePrivateFolder`. */
export async function makeSecretFolder(instance: string, path: string): Promise<void> {
  for (const each of [dirname(path), path]) {
    await makePrivateFolder(instance, each);
    await chmod(each, 0o700);
  }
}

/** Writes a file of mode 0600, whole or not at all. Throws `ACCESS_FILE_MODE` and removes it where modes are not kept. */
export async function writeSecretFile(path: string, text: string): Promise<void> {
  await writeFileAtomically(path, text);
  await expectPrivate(path);
}

export async function expectPrivate(path: string): Promise<void> {
  await chmod(path, 0o600);
  const mode = (await stat(path)).mode & 0o777;
  if (mode === 0o600) return;
  await rm(path, { force: true });
  throw new FileModeError({ path, mode: mode.toString(8).padStart(4, '0') });
}
