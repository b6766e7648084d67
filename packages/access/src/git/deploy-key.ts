import { randomUUID } from 'node:crypto';
import { readFile, rename, rm } from 'node:fs/promises';
import { findProgram, runCommand } from '@mgpu/core';
import { DeployKeyError } from '../errors.ts';
import { writeSecretFile } from '../private-file.ts';
import { publicKeyIn } from '../public-key.ts';
import type { GitAccessConfig } from './config.ts';

type KeyConfig = Pick<GitAccessConfig, 'deployKey' | 'deployKeyParts' | 'deployKeyFile'>;

/** The text of the configured key; undefined when none is configured. Throws `ACCESS_DEPLOY_KEY`. */
export async function readDeployKey(config: KeyConfig): Promise<{ text: string; source: string } | undefined> {
  const { deployKey, deployKeyParts = {}, deployKeyFile } = config;
  if (deployKey !== undefined) return { text: keyTextOf(deployKey, 'deployKey'), source: 'deployKey' };
  const numbers = Object.keys(deployKeyParts).map(Number);
  if (numbers.length > 0) {
    const source = 'deployKeyParts';
    const all = Array.from({ length: Math.max(...numbers) }, (_, index) => index + 1);
    const missing = all.filter((number) => !numbers.includes(number));
    if (missing.length > 0)
      throw new DeployKeyError({ source, problem: `part ${missing.join(', ')} is missing of ${all.length}` });
    return { text: keyTextOf(all.map((number) => deployKeyParts[number]).join(''), source), source };
  }
  if (deployKeyFile === undefined) return undefined;
  const source = deployKeyFile;
  const content = await readFile(deployKeyFile, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new DeployKeyError({ source, problem: `it cannot be read (${cause.code})` }, { cause });
  });
  return { text: keyTextOf(content, source), source };
}

/** Text or base64, on one line or on many; as ssh wants it, with a line break at the end. */
function keyTextOf(given: string, source: string): string {
  const text = given.includes('-----BEGIN') ? given.replaceAll('\\n', '\n') : decoded(given);
  const key = text.replaceAll('\r', '').trim();
  if (/^-----BEGIN [A-Z ]*PRIVATE KEY-----\n[\s\S]+\n-----END [A-Z ]*PRIVATE KEY-----$/.test(key)) return `${key}\n`;
  const problem = key.startsWith('ssh-') ? 'it is a public key' : 'it is no private key, or not the whole of one';
  throw new DeployKeyError({ source, problem });
}

function decoded(base64: string): string {
  const compact = base64.replace(/\s/g, '');
  return /^[A-Za-z0-9+/]*={0,2}$/.test(compact) ? Buffer.from(compact, 'base64').toString('latin1') : base64;
}

/**
 * Puts the key into a file of mode 0600 when OpenSSH can use it; otherwise there is none afterwards. Returns the fingerprint of
 * its public part. Throws `ACCESS_DEPLOY_KEY`, `ACCESS_FILE_MODE`.
 */
export async function placeDeployKey(
  { text, source }: { text: string; source: string },
  path: string,
  { env, signal }: { env: Readonly<Record<string, string | undefined>>; signal?: AbortSignal | undefined },
): Promise<string> {
  const draft = `${path}.${randomUUID()}`;
  try {
    const keygen = await findProgram(['ssh-keygen'], env);
    if (keygen === undefined)
      throw new DeployKeyError({ source, problem: 'ssh-keygen, which checks it, is not installed (openssh-client)' });
    await writeSecretFile(draft, text);
    // Neither asks for a passphrase: an empty one is given.
    const { ok, stdout, stderr } = await runCommand(keygen, ['-y', '-P', '', '-f', draft], { env, signal });
    signal?.throwIfAborted();
    const key = ok ? publicKeyIn(stdout) : undefined;
    if (!key) throw new DeployKeyError({ source, problem: problemIn(stderr) });
    await rename(draft, path);
    return key.fingerprint;
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

const problemIn = (stderr: string) =>
  /passphrase/i.test(stderr) ? 'it has a passphrase' : 'ssh-keygen makes nothing of it: it is damaged or cut short';
