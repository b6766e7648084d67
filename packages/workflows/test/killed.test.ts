import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { findProgram } from '@mgpu/core';
import { expect, test } from 'vitest';
import { env, filesIn, git, Shared, write } from './support.ts';

const fixture = join(import.meta.dirname, 'fixtures', 'pass.ts');

/** A `git` that kills its caller and itself when it is asked for one of its commands, once. */
async function deadlyGit(root: string, asked: string, deed: string): Promise<string> {
  const real = (await findProgram(['git'], process.env)) ?? 'git';
  const flag = join(root, 'killed');
  const bin = join(root, 'bin');
  const script = `#!/bin/sh
for word; do
  if [ "$word" = '${asked}' ] && [ ! -e '${flag}' ]; then
    : > '${flag}'
    ${deed.replace('REAL', `'${real}' "$@" > /dev/null 2>&1`)}
    kill -9 $PPID $$
  fi
done
exec '${real}' "$@"
`;
  write(bin, { git: script });
  chmodSync(join(bin, 'git'), 0o755);
  return bin;
}

/** As if it had been killed while it wrote: its lock is there, and half of a file. */
const torn = `: > .git/index.lock; printf 'thei' > a.json`;

test.each([
  ['after it committed', 'commit', 'REAL'],
  ['in the middle of the rebase', 'cherry-pick', 'REAL'],
  ['while the folder moves', '-B', torn],
  ['after it pushed', 'push', 'REAL'],
])('a pass that is killed %s is gone on with, and nothing is lost', async (_, asked, deed) => {
  const shared = new Shared({ 'a.json': '1\n', 'b.json': '1\n' });
  const { dir, sync } = shared.machine('box');
  await sync();
  write(dir, { 'a.json': 'mine\n', 'mine.json': 'mine\n' });
  shared.push({ 'a.json': 'theirs\n', 'theirs.json': 'theirs\n' });
  const bin = await deadlyGit(shared.root, asked, deed);
  const child = spawn(process.execPath, [fixture, dir, shared.url], {
    env: { ...env, PATH: `${bin}${delimiter}${env.PATH}` },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  expect(await once(child, 'exit')).toEqual([null, 'SIGKILL']);
  // Somebody goes on working before anybody comes back.
  write(dir, { 'b.json': 'mine, after\n' });
  expect(await sync()).toMatchObject({ problem: undefined });
  const files = filesIn(dir);
  expect(files).toEqual(shared.files);
  expect(Object.values(files).toSorted()).toEqual(['mine\n', 'mine\n', 'mine, after\n', 'theirs\n', 'theirs\n']);
  expect(files).toMatchObject({ 'a.json': 'theirs\n', 'mine.json': 'mine\n', 'b.json': 'mine, after\n' });
  expect(git(dir, 'status', '--porcelain')).toBe('');
  expect(git(dir, 'worktree', 'list').split('\n')).toHaveLength(1);
  expect(existsSync(join(dir, '.git', 'mgpu'))).toBe(false);
  expect(git(dir, 'for-each-ref', 'refs/mgpu')).toBe('');
});
