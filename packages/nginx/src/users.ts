import { chmod, chown, readFile } from 'node:fs/promises';
import { writeFileAtomically } from '@mgpu/core';
import type { NginxConfig } from './config.ts';
import { htpasswdLines, linesOf } from './credentials.ts';
import { AuthFileError, AuthRequiredError } from './errors.ts';

type Access = Pick<NginxConfig, 'host' | 'authFile' | 'credentials' | 'insecure'>;

const isLoopback = (host: string) => host === 'localhost' || host === '::1' || host.startsWith('127.');

/** Throws `NGINX_AUTH_REQUIRED` when others could come in without a password and nobody said that they may. */
export function expectProtected(instance: string, { host, authFile, credentials, insecure }: Access): void {
  if (isLoopback(host) || insecure || authFile !== undefined || credentials !== undefined) return;
  throw new AuthRequiredError({ instance, host });
}

/** The users as htpasswd lines; undefined when everybody may come in. Throws `NGINX_AUTH_FILE`. */
export async function readUsers(
  instance: string,
  { authFile, credentials }: Pick<Access, 'authFile' | 'credentials'>,
): Promise<readonly string[] | undefined> {
  if (authFile === undefined && credentials === undefined) return undefined;
  const fromFile = authFile === undefined ? [] : linesOf(await readAuthFile(instance, authFile));
  const lines = [...fromFile, ...htpasswdLines(credentials ?? '')];
  const path = authFile ?? 'services.nginx.credentials';
  if (lines.length === 0) throw new AuthFileError({ instance, path, problem: 'there are none' });
  const bad = lines.findIndex((line) => !/^[^:\s]+:\S+/.test(line));
  if (bad !== -1) throw new AuthFileError({ instance, path, problem: `line ${bad + 1} is not \`user:hash\`` });
  return lines;
}

async function readAuthFile(instance: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const problem = (cause as NodeJS.ErrnoException).code ?? String(cause);
    throw new AuthFileError({ instance, path, problem }, { cause });
  }
}

/** Writes the users for nginx's workers: mode 0600, or readable for their group when that is given. */
export async function writeUsers(path: string, lines: readonly string[], group?: number): Promise<void> {
  await writeFileAtomically(path, `${lines.join('\n')}\n`);
  if (group === undefined) return;
  await chown(path, process.getuid?.() ?? 0, group);
  await chmod(path, 0o640);
}
