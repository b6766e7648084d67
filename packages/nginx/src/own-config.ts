import { existsSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { gitEnvironment, reportError, type ServiceContext } from '@mgpu/core';
import type { NginxConfig } from './config.ts';

type Place = Pick<ServiceContext, 'layout' | 'env' | 'log' | 'id'>;

const checkoutIn = ({ layout, id }: Pick<ServiceContext, 'layout' | 'id'>) => join(layout.instance(id), 'repository');

/** Patterns of the files of the user's own that nginx is to read, relative ones below the checkout. */
export const includesOf = ({ include }: NginxConfig, place: Pick<ServiceContext, 'layout' | 'id'>): readonly string[] =>
  include.map((pattern) => (isAbsolute(pattern) ? pattern : join(checkoutIn(place), pattern)));

/**
 * Brings the checkout to what the repository says now. Where that fails, what is there goes on serving, with a warning; where
 * nothing is, it throws as a clone does.
 */
export async function bringRepository(
  { url, ref }: NonNullable<NginxConfig['repository']>,
  { signal, ...place }: Place & { readonly signal: AbortSignal },
): Promise<void> {
  const { layout, env, log, id } = place;
  const dir = checkoutIn(place);
  // Git is nothing that every start of a proxy should load.
  const { Git } = await import('@mgpu/core/git');
  const git = new Git({ env: gitEnvironment(layout, env), signal });
  if (!existsSync(dir)) {
    await git.clone({ url, ref }, dir);
    return;
  }
  try {
    await git.checkOut(dir, { url, ref });
  } catch (error) {
    signal.throwIfAborted();
    const report = reportError(error);
    log.warn(`${id}: its own configuration stays as it was brought before: ${report.message}`, { error: report });
  }
}
