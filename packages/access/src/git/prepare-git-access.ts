import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { gitAccessFiles, type Layout, MgpuError } from '@mgpu/core';
import { opensshPath } from '../openssh-value.ts';
import { makeSecretFolder, writeSecretFile } from '../private-file.ts';
import type { GitAccessConfig } from './config.ts';
import { placeDeployKey, readDeployKey } from './deploy-key.ts';
import { pinnedHosts } from './known-hosts.ts';

export interface PrepareOptions {
  readonly layout: Pick<Layout, 'state'>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal | undefined;
}

export interface PreparedGitAccess {
  /** Of the deploy key in force, `SHA256:…`. */
  readonly fingerprint: string | undefined;
  /** Why the configured deploy key is not in force: `ACCESS_DEPLOY_KEY`. Everything else is. */
  readonly problem: MgpuError | undefined;
}

/**
 * Writes what `gitEnvironment` of core points Git at, so that its content follows from the configuration alone: an earlier deploy
 * key does not stay. A key that cannot be used is a value; throws for what keeps everything from being written.
 */
export async function prepareGitAccess(
  config: Pick<GitAccessConfig, 'deployKey' | 'deployKeyParts' | 'deployKeyFile' | 'knownHosts' | 'identity'>,
  { layout, env, signal }: PrepareOptions,
): Promise<PreparedGitAccess> {
  const { folder, sshConfig, gitConfig } = gitAccessFiles(layout);
  await makeSecretFolder('git-access', folder);
  const keyFile = join(folder, 'deploy_key');
  const knownHosts = join(folder, 'known_hosts');
  let fingerprint: string | undefined;
  let problem: MgpuError | undefined;
  try {
    const key = await readDeployKey(config);
    if (key) fingerprint = await placeDeployKey(key, keyFile, { env, signal });
  } catch (error) {
    if (!(error instanceof MgpuError)) throw error;
    problem = error;
  }
  if (fingerprint === undefined) await rm(keyFile, { force: true });
  await Promise.all([
    writeSecretFile(knownHosts, `${[...pinnedHosts, ...config.knownHosts].join('\n')}\n`),
    writeSecretFile(sshConfig, sshConfigOf({ keyFile: fingerprint && keyFile, knownHosts })),
    writeSecretFile(gitConfig, gitConfigOf(config.identity, env)),
  ]);
  return { fingerprint, problem };
}

const written = '# Written by mgpu at every start; what is to stay belongs into its configuration.';

/** Of each keyword the first value counts, but for keys (ssh_config(5)): the account's own settings come after ours. */
function sshConfigOf({ keyFile, knownHosts }: { keyFile: string | undefined; knownHosts: string }): string {
  const key = keyFile === undefined ? [] : [`IdentityFile ${opensshPath(keyFile)}`, 'IdentitiesOnly yes'];
  return `${[
    written,
    ...key,
    'BatchMode yes',
    'ConnectTimeout 20',
    'StrictHostKeyChecking yes',
    `UserKnownHostsFile ${opensshPath(knownHosts)} ~/.ssh/known_hosts`,
    'Include ~/.ssh/config',
  ].join('\n')}\n`;
}

/** Replaces the account's own configuration (`GIT_CONFIG_GLOBAL`), which is therefore read first. */
function gitConfigOf(identity: GitAccessConfig['identity'], env: PrepareOptions['env']): string {
  const { HOME: home, XDG_CONFIG_HOME: xdg = home && join(home, '.config') } = env;
  const own = [xdg && join(xdg, 'git', 'config'), home && join(home, '.gitconfig')].filter(
    (path) => path !== undefined,
  );
  return `${[
    written,
    ...own.flatMap((path) => ['[include]', `\tpath = ${gitValue(path)}`]),
    ...(identity ? ['[user]', `\tname = ${gitValue(identity.name)}`, `\temail = ${gitValue(identity.email)}`] : []),
  ].join('\n')}\n`;
}

const gitValue = (text: string) => `"${text.replace(/["\\]/g, '\\$&').replaceAll('\n', '\\n')}"`;
