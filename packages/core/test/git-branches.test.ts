import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gitAccessFiles, gitEnvironment, layoutOf } from '@mgpu/core';
import { Git } from '@mgpu/core/git';
import { expect, test } from 'vitest';
import { gitEnv as env, runGitIn as run } from './git-support.ts';
import { temporaryFolder } from './support.ts';

const git = new Git({ env });
const author = { name: 'tester', email: 'tester@localhost' };
const branch = 'main';

/** A bare repository with one commit, and checkouts of it. */
async function shared(files: Readonly<Record<string, string>> = { 'a.json': '{"a": 1}\n' }) {
  const root = temporaryFolder();
  const bare = join(root, 'bare');
  run(root, 'init', '--quiet', '--bare', '--initial-branch=main', 'bare');
  const url = pathToFileURL(bare).href;
  const checkout = async (name: string) => {
    const dir = join(root, name);
    mkdirSync(dir);
    await git.begin(dir, branch);
    const commit = await git.fetchBranch(dir, { url, branch });
    if (commit) await git.moveBranch(dir, branch, commit);
    return dir;
  };
  const first = await checkout('first');
  const commit = await save(first, files);
  await git.push(first, { url, branch, commit });
  return { root, url, bare, first, second: await checkout('second') };
}

/** Commits files in a checkout; undefined content removes. */
async function save(dir: string, files: Readonly<Record<string, string | undefined>>): Promise<string> {
  for (const [path, text] of Object.entries(files)) {
    if (text === undefined) rmSync(join(dir, path));
    else writeFileSync(join(dir, path), text);
  }
  const commit = await git.commit(dir, Object.keys(files), { message: 'saved', author });
  if (commit === undefined) throw new Error('nothing to commit');
  return commit;
}

const read = (...path: string[]) => readFileSync(join(...path), 'utf8');
const copyOf = (path: string) => path.replace(/(\.\w+)?$/, '.mine$1');

test('tells the default branch, and that there is none yet', async () => {
  const { url, root } = await shared();
  expect(await git.defaultBranch(url)).toBe('main');
  run(root, 'init', '--quiet', '--bare', 'empty');
  expect(await git.defaultBranch(join(root, 'empty'))).toBeUndefined();
});

test('tells what differs, whatever the names, and commits what it is asked to', async () => {
  const { first } = await shared({ 'a.json': '1\n', gone: '1\n', 'with blank': '1\n' });
  rmSync(join(first, 'gone'));
  writeFileSync(join(first, 'a.json'), '2\n');
  writeFileSync(join(first, '*.json'), 'a pattern for a name\n');
  writeFileSync(join(first, '-f'), 'an option for a name\n');
  writeFileSync(join(first, 'ünïcode "quoted"\n'), '1\n');
  mkdirSync(join(first, 'below'));
  writeFileSync(join(first, 'below', 'b.json'), '1\n');
  run(first, 'init', '--quiet', 'inner');
  const changes = await git.changes(first);
  expect(changes.map(({ path, kind }) => `${kind} ${path}`).toSorted()).toEqual([
    'changed a.json',
    'gone gone',
    'new *.json',
    'new -f',
    'new below/b.json',
    'new inner/',
    'new ünïcode "quoted"\n',
  ]);
  expect(await git.changes(first, 'below')).toEqual([{ path: 'below/b.json', kind: 'new' }]);
  await git.commit(first, ['*.json', '-f', 'gone'], { message: '-m', author });
  expect(run(first, 'show', '--format=%an %s', '--name-only', '-z', 'HEAD').split('\0').filter(Boolean)).toEqual([
    'tester -m',
    '\n*.json',
    '-f',
    'gone',
  ]);
  expect(await git.commit(first, ['with blank'], { message: 'nothing', author })).toBeUndefined();
});

test('gives back by name, never by pattern, and tells what it keeps', async () => {
  const { first } = await shared({ 'a.json': '1\n', '*.json': '1\n' });
  for (const path of ['a.json', '*.json']) writeFileSync(join(first, path), 'mine\n');
  await git.restore(first, ['*.json']);
  expect([read(first, 'a.json'), read(first, '*.json')]).toEqual(['mine\n', '1\n']);
  expect(await git.files(first)).toEqual(['*.json', 'a.json']);
  expect(await git.files(first, '*.json')).toEqual(['*.json']);
});

test("the account's own name goes before, its signatures and hooks are no hindrance", async () => {
  const { first, root } = await shared();
  const config = join(root, 'gitconfig');
  writeFileSync(config, '[user]\nname = me\nemail = me@localhost\n[commit]\ngpgsign = true\n');
  writeFileSync(join(first, '.git', 'hooks', 'pre-commit'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
  writeFileSync(join(first, 'a.json'), '2\n');
  await new Git({ env: { ...env, GIT_CONFIG_GLOBAL: config } }).commit(first, ['a.json'], { message: 'x', author });
  expect(run(first, 'log', '-1', '--format=%an %cn')).toBe('me me');
});

test('a push is never by force, and says when somebody was faster', async () => {
  const { first, second, url, bare } = await shared();
  const commit = await save(first, { 'a.json': '2\n' });
  await git.push(first, { url, branch, commit });
  const late = await save(second, { 'b.json': '1\n' });
  await expect(git.push(second, { url, branch, commit: late })).rejects.toMatchObject({
    code: 'CORE_GIT_BEHIND',
    retryable: true,
  });
  expect(run(bare, 'rev-parse', 'main')).toBe(commit);
  writeFileSync(join(bare, 'hooks', 'pre-receive'), '#!/bin/sh\necho not today >&2\nexit 1\n', { mode: 0o755 });
  const more = await save(first, { 'a.json': '3\n' });
  await expect(git.push(first, { url, branch, commit: more })).rejects.toMatchObject({
    code: 'CORE_GIT_FAILED',
    message: expect.stringContaining('not today'),
  });
});

test('a rebase leaves the checkout alone and gives what conflicts a copy', async () => {
  const { first, second, url } = await shared({ 'a.json': '1\n', 'b.json': '1\n', 'c.json': '1\n', d: '1\n' });
  const theirs = await save(first, {
    'a.json': 'theirs\n',
    'b.json': 'theirs\n',
    'c.json': undefined,
    new: 'theirs\n',
  });
  await git.push(first, { url, branch, commit: theirs });
  await save(second, { 'a.json': 'mine, first\n', 'c.json': 'mine\n', new: 'mine\n' });
  await save(second, { 'a.json': 'mine\n', 'b.json': undefined, d: 'mine\n' });
  writeFileSync(join(second, 'd'), 'not committed\n');
  const onto = await git.fetchBranch(second, { url, branch });
  const before = await git.head(second);
  const { commit, conflicts } = await git.rebase(second, { onto: onto ?? '', copyOf, author });
  expect(await git.head(second)).toEqual(before);
  expect(read(second, 'd')).toBe('not committed\n');
  expect(conflicts.toSorted((a, b) => a.path.localeCompare(b.path))).toEqual([
    { path: 'a.json', copy: 'a.mine.json' },
    { path: 'b.json', copy: undefined },
    { path: 'c.json', copy: 'c.mine.json' },
    { path: 'new', copy: 'new.mine' },
  ]);
  const at = (path: string) => run(second, 'show', `${commit}:${path}`);
  expect([at('a.json'), at('a.mine.json'), at('b.json'), at('c.mine.json')]).toEqual([
    'theirs',
    'mine',
    'theirs',
    'mine',
  ]);
  expect([at('new'), at('new.mine'), at('d')]).toEqual(['theirs', 'mine', 'mine']);
  expect(run(second, 'log', '--format=%s', `${onto}..${commit}`)).toBe('saved\nsaved');
  expect(existsSync(join(second, '.git', 'mgpu'))).toBe(false);
  expect(run(second, 'worktree', 'list').split('\n')).toHaveLength(1);
});

test('a file where the other side has a folder is kept, too', async () => {
  const { first, second, url } = await shared();
  mkdirSync(join(first, 'x'));
  const theirs = await save(first, { 'x/y': 'theirs\n' });
  await git.push(first, { url, branch, commit: theirs });
  await save(second, { x: 'mine\n' });
  const onto = await git.fetchBranch(second, { url, branch });
  const { commit, conflicts } = await git.rebase(second, { onto: onto ?? '', copyOf, author });
  expect(run(second, 'show', `${commit}:x/y`)).toBe('theirs');
  expect(run(second, 'show', `${commit}:${conflicts[0]?.copy}`)).toBe('mine');
});

test('a branch moves over nothing that was not committed', async () => {
  const { first, second, url } = await shared({ 'a.json': '1\n', '.gitignore': 'ignored\n' });
  const theirs = await save(first, { 'a.json': 'theirs\n', 'b.json': 'theirs\n', ignored: 'theirs\n' });
  await git.push(first, { url, branch, commit: theirs });
  await git.fetchBranch(second, { url, branch });
  for (const [path, files] of [
    ['a.json', ['a.json']],
    ['b.json', ['b.json']],
    ['ignored', ['ignored']],
  ] as const) {
    writeFileSync(join(second, path), 'mine\n');
    await expect(git.moveBranch(second, branch, theirs)).rejects.toMatchObject({
      code: 'CORE_GIT_IN_THE_WAY',
      details: { files },
    });
    expect(read(second, path)).toBe('mine\n');
    if (path === 'a.json') run(second, 'checkout', 'a.json');
    else rmSync(join(second, path));
  }
  await git.moveBranch(second, branch, theirs);
  expect(read(second, 'ignored')).toBe('theirs\n');
});

test('what a killed Git left is cleared away, unless a Git is at work', async () => {
  const { first } = await shared();
  const gitDir = join(first, '.git');
  const lock = join(gitDir, 'index.lock');
  writeFileSync(lock, '');
  writeFileSync(join(gitDir, 'refs', 'heads', 'main.lock'), '');
  run(first, 'worktree', 'add', '--quiet', '--detach', join(gitDir, 'mgpu', 'left'), 'HEAD');
  const other = spawn('git', ['cat-file', '--batch'], { cwd: first, env, stdio: ['pipe', 'pipe', 'inherit'] });
  other.stdin.write('HEAD\n');
  await once(other.stdout, 'data');
  await expect(git.recover(first)).rejects.toMatchObject({ code: 'CORE_GIT_LOCKED', details: { lock } });
  await expect(git.commit(first, ['a.json'], { message: 'x', author })).rejects.toMatchObject({
    code: 'CORE_GIT_LOCKED',
    retryable: true,
  });
  other.stdin.end();
  await once(other, 'exit');
  await git.recover(first);
  expect(readdirSync(gitDir)).not.toContain('index.lock');
  expect(run(first, 'worktree', 'list').split('\n')).toHaveLength(1);
  await save(first, { 'a.json': '2\n' });
});

test('tells what somebody began and did not end', async () => {
  const { first } = await shared();
  expect(await git.unfinished(first)).toBeUndefined();
  run(first, 'checkout', '--quiet', '-b', 'other');
  await save(first, { 'a.json': 'other\n' });
  run(first, 'checkout', '--quiet', 'main');
  await save(first, { 'a.json': 'main\n' });
  expect(() => run(first, 'merge', 'other')).toThrow();
  expect(await git.unfinished(first)).toBe('merge');
  expect(await git.changes(first)).toEqual([{ path: 'a.json', kind: 'unmerged' }]);
});

test("the machine's credentials come into the environment when they are there, after what it says itself", async () => {
  const root = join(temporaryFolder(), "it's");
  const layout = layoutOf(root);
  expect(gitEnvironment(layout, { A: '1' })).toEqual({ A: '1' });
  const { folder, sshConfig, gitConfig } = gitAccessFiles(layout);
  mkdirSync(folder, { recursive: true });
  writeFileSync(sshConfig, 'Host *\n');
  writeFileSync(gitConfig, '[user]\nname = of the machine\n');
  const given = gitEnvironment(layout, { A: '1', GIT_SSH_COMMAND: undefined });
  expect(given).toEqual({
    A: '1',
    GIT_CONFIG_GLOBAL: gitConfig,
    GIT_SSH_COMMAND: `ssh -F '${root.replace("'", "'\\''")}/state/access/git/ssh_config'`,
  });
  expect(gitEnvironment(layout, { GIT_SSH_COMMAND: 'mine' })).toMatchObject({ GIT_SSH_COMMAND: 'mine' });
});
