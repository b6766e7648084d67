import { defineError } from '@mgpu/core';

/** What is wrong with it is said, what is in it never. */
export const DeployKeyError = defineError<{ problem: string; source: string }>({
  code: 'ACCESS_DEPLOY_KEY',
  message: ({ problem, source }) => `the deploy key of ${source} cannot be used: ${problem}`,
  hint: 'give the whole private key without a passphrase, as text or in base64; in parts, every part in its order',
});

export const LoginRefusedError = defineError<{ host: string; problem: string }>({
  code: 'ACCESS_LOGIN_REFUSED',
  message: ({ host, problem }) => `${host} does not let the deploy key in: ${problem}`,
  hint: 'add the public part of the key there; services.git-access.logIn names the hosts that are tried',
});

export const HostKeyError = defineError<{ host: string; problem: string }>({
  code: 'ACCESS_HOST_KEY',
  message: ({ host, problem }) => `${host} is not who it is known to be: ${problem}`,
  hint: "put its published key into services.git-access.knownHosts; when it changed unexpectedly, somebody may be in the host's place",
});

export const HostUnreachableError = defineError<{ host: string; problem: string }>({
  code: 'ACCESS_HOST_UNREACHABLE',
  retryable: true,
  message: ({ host, problem }) => `${host} could not be logged in at: ${problem}`,
  hint: 'the network or the host may be at fault; it is tried again by itself',
});

export const AuthorizedKeysError = defineError<{ source: string; problem: string }>({
  code: 'ACCESS_AUTHORIZED_KEYS',
  message: ({ source, problem }) => `the public keys of ${source} cannot be used: ${problem}`,
  hint: 'one key a line, as in the .pub file that ssh-keygen writes; options may stand before it',
});

export const NoAuthorizedKeyError = defineError<{ instance: string }>({
  code: 'ACCESS_NO_AUTHORIZED_KEY',
  message: ({ instance }) => `${instance}: nobody could log in, there is no public key`,
  hint: 'set services.ssh.authorizedKeys or authorizedKeysFile (or SSH_AUTHORIZED_KEYS), or leave services.ssh.server disabled',
});

export const OpenPathError = defineError<{ path: string; problem: string }>({
  code: 'ACCESS_PATH_OPEN',
  message: ({ path, problem }) => `other users could put files of their own in the place of ours: ${path} ${problem}`,
  hint: ({ path }) => `chmod go-w ${path}, or choose another machine.root`,
});

export const FileModeError = defineError<{ path: string; mode: string }>({
  code: 'ACCESS_FILE_MODE',
  message: ({ path, mode }) => `${path} cannot be kept from other users: its mode stays ${mode}`,
  hint: 'its file system does not keep modes: choose a machine.root on one that does',
});

export const PathNotWritableInConfigError = defineError<{ path: string }>({
  code: 'ACCESS_PATH_UNUSABLE',
  message: ({ path }) => `${JSON.stringify(path)} cannot stand in a configuration of OpenSSH`,
  hint: 'choose a machine.root without quotation marks, backslashes and line breaks in its path',
});

export const SshdConfigError = defineError<{ instance: string; config: string; complaint: string }>({
  code: 'ACCESS_SSHD_CONFIG',
  message: ({ instance, complaint }) => `${instance}: sshd refuses its configuration: ${complaint}`,
  hint: ({ config }) => `cure what it complains of; the refused configuration is kept in ${config}`,
});

export const HostKeyMakingError = defineError<{ path: string; problem: string }>({
  code: 'ACCESS_HOST_KEY_MAKING',
  message: ({ path, problem }) => `no host key could be made in ${path}: ${problem}`,
  hint: 'check the free space and the rights on the folder',
});
