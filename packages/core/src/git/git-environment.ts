import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Layout } from '../files/layout.ts';

/** Where the machine keeps how Git is to log in: written by whoever has the credentials, read by whoever uses Git. */
export interface GitAccessFiles {
  /** Mode 0700. */
  readonly folder: string;
  /** Configuration of ssh(1): key, known hosts. */
  readonly sshConfig: string;
  /** Configuration of Git: identity. It includes the account's own. */
  readonly gitConfig: string;
}

export function gitAccessFiles({ state }: Pick<Layout, 'state'>): GitAccessFiles {
  const folder = join(state, 'access', 'git');
  return { folder, sshConfig: join(folder, 'ssh_config'), gitConfig: join(folder, 'gitconfig') };
}

/**
 * The environment for Git and for what runs it (pip, scripts): with the machine's own credentials, where there are any now. What
 * the environment says already wins. It has paths in it and no secret.
 */
export function gitEnvironment(
  layout: Pick<Layout, 'state'>,
  env: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string | undefined>> {
  const { sshConfig, gitConfig } = gitAccessFiles(layout);
  return {
    ...(existsSync(sshConfig) ? { GIT_SSH_COMMAND: `ssh -F ${quoted(sshConfig)}` } : {}),
    ...(existsSync(gitConfig) ? { GIT_CONFIG_GLOBAL: gitConfig } : {}),
    ...Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined)),
  };
}

/** Git hands that variable to a shell. */
const quoted = (path: string) => `'${path.replaceAll("'", "'\\''")}'`;
