import { existsSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { gitEnvironment, reportError, type ServiceContext } from '@mgpu/core';
import type { NginxConfig } from './config.ts';

type Repository = NonNullable<NginxConfig['repository']>;
type Place = Pick<ServiceContext, 'layout' | 'env' | 'log' | 'id'>;

const checkoutIn = ({ layout, id }: Pick<ServiceContext, 'layout' | 'id'>) => join(layout.instance(id), 'repository');

/** Patterns of the files of the user's own that nginx is to read, relative ones below the checkout. */
export const includesOf = ({ include }: NginxConfig, place: Pick<ServiceContext, 'layout' | 'id'>): readonly string[] =>
  include.map((pattern) => (isAbsolute(pattern) ? pattern : join(checkoutIn(place), pattern)));

/** What the repository was brought to. */
export interface BroughtRepository {
  /** The commit that it had before; undefined where nothing changed. */
  readonly former: string | undefined;
}

/**
 * Brings the checkout to what the repository says now. Where that fails, what is there goes on serving, with a warning; where
 * nothing is, it throws as a clone does.
 */
export async function bringRepository(
  { url, ref }: Repository,
  { signal, ...place }: Place & { readonly signal: AbortSignal },
): Promise<BroughtRepository> {
  const { log, id } = place;
  const dir = checkoutIn(place);
  const git = await gitFor(place, signal);
  if (!existsSync(dir)) {
    await git.clone({ url, ref }, dir);
    return { former: undefined };
  }
  const { commit: former } = await git.head(dir);
  try {
    const commit = await git.checkOut(dir, { url, ref });
    return { former: commit === former ? undefined : former };
  } catch (error) {
    signal.throwIfAborted();
    const report = reportError(error);
    log.warn(`${id}: its own configuration stays as it was brought before: ${report.message}`, { error: report });
    return { former: undefined };
  }
}

/** Brings the checkout back to a commit that it had. */
export async function goBack(
  { url }: Repository,
  former: string,
  { signal, ...place }: Place & { readonly signal: AbortSignal },
): Promise<void> {
  const git = await gitFor(place, signal);
  await git.checkOut(checkoutIn(place), { url, ref: former });
}

async function gitFor({ layout, env }: Place, signal: AbortSignal) {
  // Git is nothing that every start of a proxy should load.
  const { Git } = await import('@mgpu/core/git');
  return new Git({ env: gitEnvironment(layout, env), signal });
}
