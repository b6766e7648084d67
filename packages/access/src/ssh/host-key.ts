import { existsSync } from 'node:fs';
import { readFile, rename, rm } from 'node:fs/promises';
import { findProgram, runCommand, writeFileAtomically } from '@mgpu/core';
import { HostKeyMakingError } from '../errors.ts';
import { expectPrivate } from '../private-file.ts';
import { publicKeyIn } from '../public-key.ts';

/**
 * The key by which clients know this machine: made once, mode 0600, and kept. Returns its fingerprint. Throws
 * `ACCESS_HOST_KEY_MAKING`, `ACCESS_FILE_MODE`.
 */
export async function keepHostKey(
  path: string,
  { env, signal }: { env: Readonly<Record<string, string | undefined>>; signal?: AbortSignal | undefined },
): Promise<string> {
  if (!existsSync(path) || !existsSync(`${path}.pub`)) await makeHostKey(path, { env, signal });
  await expectPrivate(path);
  const { fingerprint } = publicKeyIn(await readFile(`${path}.pub`, 'utf8')) ?? {};
  if (fingerprint === undefined) throw new HostKeyMakingError({ path, problem: 'its public part is no key' });
  return fingerprint;
}

async function makeHostKey(path: string, { env, signal }: Parameters<typeof keepHostKey>[1]): Promise<void> {
  const program = (await findProgram(['ssh-keygen'], env)) ?? 'ssh-keygen';
  const draft = `${path}.draft`;
  const removeDraft = () => Promise.all([draft, `${draft}.pub`].map((each) => rm(each, { force: true })));
  await removeDraft();
  try {
    const isThere = existsSync(path); // its public part alone is missing
    const made = isThere
      ? await runCommand(program, ['-y', '-P', '', '-f', path], { env, signal })
      : await runCommand(program, ['-q', '-t', 'ed25519', '-N', '', '-C', 'mgpu', '-f', draft], { env, signal });
    signal?.throwIfAborted();
    const problem = made.stderr.trim() || made.spawnError || `exit code ${made.exitCode}`;
    if (!made.ok) throw new HostKeyMakingError({ path, problem });
    if (isThere) await writeFileAtomically(`${path}.pub`, made.stdout);
    else {
      // The private part last: with it the pair is whole.
      await rename(`${draft}.pub`, `${path}.pub`);
      await rename(draft, path);
    }
  } finally {
    await removeDraft();
  }
}
