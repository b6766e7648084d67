import { chmod, chown, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isLoopback, makePrivateFolder, type Run, writeFileAtomically } from '@mgpu/core';
import type { NginxConfig } from './config.ts';
import { usersOfCredentials, usersOfFile } from './credentials.ts';
import { AuthFileError, AuthRequiredError } from './errors.ts';
import type { NginxFiles } from './files.ts';

type Access = Pick<NginxConfig, 'host' | 'authFile' | 'credentials' | 'insecure'>;

export const asksForPassword = ({ authFile, credentials }: Pick<Access, 'authFile' | 'credentials'>): boolean =>
  authFile !== undefined || credentials !== undefined;

/** Throws `NGINX_AUTH_REQUIRED` when others could come in without a password and nobody said that they may. */
export function expectProtected(instance: string, access: Access): void {
  const { host, insecure } = access;
  if (!isLoopback(host) && !insecure && !asksForPassword(access)) throw new AuthRequiredError({ instance, host });
}

/** The users that may come in, as htpasswd lines. Throws `NGINX_AUTH_FILE`. */
export async function readUsers(
  instance: string,
  { authFile, credentials }: Pick<Access, 'authFile' | 'credentials'>,
): Promise<readonly string[]> {
  const refuse = (path: string) => (problem: string) => new AuthFileError({ instance, path, problem });
  const inPlace = 'services.nginx.credentials';
  const users = [
    ...(authFile === undefined ? [] : usersOfFile(await readAuthFile(instance, authFile), refuse(authFile))),
    ...(credentials === undefined ? [] : usersOfCredentials(credentials, refuse(inPlace))),
  ];
  if (users.length === 0) throw refuse(authFile ?? inPlace)('there are none');
  return users;
}

async function readAuthFile(instance: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const problem = (cause as NodeJS.ErrnoException).code ?? String(cause);
    throw new AuthFileError({ instance, path, problem }, { cause });
  }
}

/** The users of one run on disk: a file for each configuration, so that nobody comes in before his is in use. */
export interface UsersFolder {
  readonly path: string;
  /** The workers' group, where they are another account. */
  readonly group: number | undefined;
}

/**
 * Makes the folder, which members of the group may pass through but not read. It is empty, but for what an adopted nginx
 * still reads, and goes with the run.
 */
export async function prepareUsersFolder(
  run: Run,
  instance: string,
  { ownUsers, sharedUsers }: NginxFiles,
  group: number | undefined,
): Promise<UsersFolder> {
  const folder = { path: group === undefined ? ownUsers : sharedUsers, group };
  await makePrivateFolder(instance, folder.path);
  run.defer(() => rm(folder.path, { recursive: true, force: true }));
  await openTo(group, folder.path, 0o710);
  if (!run.isAdopted) await keepUsers(folder, []);
  return folder;
}

/** Where the users of a configuration lie. */
export const usersFileOf = (folder: UsersFolder, generation: string): string => join(folder.path, generation);

/** Writes the users of a configuration: mode 0600, or readable for the group. */
export async function writeUsers(folder: UsersFolder, generation: string, lines: readonly string[]): Promise<void> {
  const path = usersFileOf(folder, generation);
  await writeFileAtomically(path, `${lines.join('\n')}\n`);
  await openTo(folder.group, path, 0o640);
}

/** Removes the users of all configurations but these. */
export async function keepUsers(folder: UsersFolder, generations: readonly string[]): Promise<void> {
  const old = (await readdir(folder.path)).filter((name) => !generations.includes(name));
  for (const generation of old) await rm(usersFileOf(folder, generation), { force: true });
}

async function openTo(group: number | undefined, path: string, mode: number): Promise<void> {
  if (group === undefined) return;
  await chown(path, process.getuid?.() ?? 0, group);
  await chmod(path, mode);
}
