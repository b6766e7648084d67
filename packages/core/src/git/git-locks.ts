import { existsSync, readlinkSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { basename, join, sep } from 'node:path';
import { executableOf, listProcesses } from '../process/process-table.ts';
import { GitLockedError } from './errors.ts';

/** Files and folders by which Git remembers what it is in the middle of (gitrepository-layout(5) and its sources). */
const unfinished: Readonly<Record<string, string>> = {
  MERGE_HEAD: 'merge',
  'rebase-merge': 'rebase',
  'rebase-apply': 'rebase',
  CHERRY_PICK_HEAD: 'cherry-pick',
  REVERT_HEAD: 'revert',
  BISECT_LOG: 'bisect',
};

export const unfinishedWork = (gitDir: string): string | undefined =>
  Object.entries(unfinished).find(([name]) => existsSync(join(gitDir, name)))?.[1];

/** Removes locks that a killed Git left. Throws `CORE_GIT_LOCKED` while a Git works in the checkout that may hold them. */
export async function releaseLocks(dir: string, gitDir: string): Promise<void> {
  const locks = await locksIn(gitDir);
  const [lock] = locks;
  if (lock === undefined) return;
  // Whoever begins after this look cannot take a lock whose file is there.
  if (isGitAtWork([dir, gitDir])) throw new GitLockedError({ url: dir, lock });
  await Promise.all(locks.map((each) => rm(each, { force: true })));
}

async function locksIn(gitDir: string): Promise<readonly string[]> {
  const names = await readdir(gitDir);
  const refs = await readdir(join(gitDir, 'refs'), { recursive: true });
  return [...names, ...refs.map((name) => join('refs', name))]
    .filter((name) => name.endsWith('.lock'))
    .map((name) => join(gitDir, name));
}

const isGitAtWork = (dirs: readonly string[]) =>
  listProcesses().some(({ pid }) => {
    if (!basename(executableOf(pid) ?? '').startsWith('git')) return false;
    const where = workingDirectoryOf(pid);
    return where !== undefined && dirs.some((dir) => where === dir || where.startsWith(dir + sep));
  });

function workingDirectoryOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return undefined; // gone, or not for us to read
  }
}
