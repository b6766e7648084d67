import { reportError, type ServiceContext } from '@mgpu/core';
import { accountKeysFile, keepAccountKeys } from './account-keys.ts';

/** A `.ssh` that is mounted read-only is the host's to fill: told, and no failure. */
const notOurs = new Set(['EROFS', 'EACCES', 'EPERM']);

export async function updateAccountKeys(
  instance: string,
  keys: readonly string[],
  { env, log }: Pick<ServiceContext, 'env' | 'log'>,
): Promise<void> {
  const path = accountKeysFile(env);
  try {
    if (await keepAccountKeys(path, keys))
      log.info(`${instance}: ${path} has ${keys.length} keys of ours`, { instance });
  } catch (error) {
    if (!notOurs.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    log.warn(`${instance}: ${path} cannot be written and stays as it is`, { instance, error: reportError(error) });
  }
}
