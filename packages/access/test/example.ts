import { Git } from '@mgpu/core/git';
import { GitAccessService } from '../src/index.ts';

/** Clones a private repository with a deploy key; returns the commit. Nothing of the key stays on disk. */
export async function clonePrivately(url: string, dir: string, deployKey: string, knownHosts: string[] = []) {
  await using access = new GitAccessService({ deployKey, knownHosts, logIn: [] });
  await access.start();
  const { health, reason } = access.status;
  if (health !== 'ready') throw new Error(reason?.message);
  return await new Git({ env: access.environment }).clone({ url }, dir);
}
