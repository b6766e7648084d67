import { lstat } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { ignore } from '@mgpu/core';
import type { Git } from '@mgpu/core/git';
import picomatch from 'picomatch';
import type { LeftFile } from './report.ts';

export interface EditRules {
  readonly dir: string;
  /** Below the checkout; `.` is all of it. */
  readonly folder: string;
  readonly exclude: readonly string[];
  readonly maxFileBytes: number;
  readonly deletions: 'share' | 'restore';
}

/** What this machine did to the files since the last commit, as far as it is anybody's business. */
export interface Edits {
  readonly share: readonly string[];
  readonly restore: readonly string[];
  readonly left: readonly LeftFile[];
}

export async function findEdits(git: Git, rules: EditRules): Promise<Edits> {
  const { dir, folder, exclude, maxFileBytes, deletions } = rules;
  const isExcluded = picomatch([...exclude], { dot: true });
  const share: string[] = [];
  const gone: string[] = [];
  const left: LeftFile[] = [];
  for (const { path, kind } of await git.changes(dir, folder)) {
    if (kind === 'gone') gone.push(path);
    else if (kind === 'new' && isExcluded(posix.relative(folder, path))) continue;
    else {
      const why = await whyLeft(join(dir, path), maxFileBytes);
      if (why === undefined) share.push(path);
      else if (why !== 'gone') left.push({ path, why });
    }
  }
  const isGivenBack = deletions === 'restore' || (await isEmptied(git, rules, gone));
  return isGivenBack ? { share, restore: gone, left } : { share: [...share, ...gone], restore: [], left };
}

/** A volume that is not mounted, or a hand that slipped: nobody removes all of their workflows one by one. */
async function isEmptied(git: Git, { dir, folder }: EditRules, gone: readonly string[]): Promise<boolean> {
  if (gone.length < 2) return false;
  const there = (await git.files(dir, folder)).length;
  return gone.length >= there;
}

async function whyLeft(path: string, maxFileBytes: number): Promise<string | undefined> {
  const facts = await lstat(path).catch(ignore('ENOENT'));
  if (!facts) return 'gone'; // since Git looked
  if (facts.isDirectory()) return 'it is a repository of its own';
  if (facts.isSymbolicLink()) return 'it is a link';
  if (!facts.isFile()) return 'it is no file';
  if (facts.size <= maxFileBytes) return undefined;
  return `it has ${(facts.size / 1_048_576).toFixed(1)} MiB, more than maxFileMiB`;
}
