import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expectGitRef, expectGitUrl, Git } from '@mgpu/core/git';
import { describe, expect, test } from 'vitest';
import { gitEnv as env, runGitIn as run } from './git-support.ts';
import { temporaryFolder } from './support.ts';

const git = new Git({ env });

function commit(dir: string, files: Readonly<Record<string, string>>): string {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  run(dir, 'add', '--all', '--force');
  run(dir, 'commit', '--quiet', '--message', 'change');
  return run(dir, 'rev-parse', 'HEAD');
}

/** A repository with one commit on `main`. */
function repository(root: string, name = 'origin') {
  const dir = join(root, name);
  mkdirSync(dir);
  run(dir, 'init', '--quiet', '--initial-branch=main');
  const first = commit(dir, { file: 'one\n' });
  return { dir, url: pathToFileURL(dir).href, first };
}

describe('what is no URL or name', () => {
  test.each([
    '-u',
    '--upload-pack=x',
    'ext::sh -c id',
    'fd::3',
    'ftp://host.invalid/x',
    'relative/path',
    'https://-x.invalid/y',
    'https://host.invalid/a b',
    '',
  ])('%j is no URL', (url) =>
    expect(() => expectGitUrl(url)).toThrow(expect.objectContaining({ code: 'CORE_GIT_URL' })),
  );
  test.each([
    'https://host.invalid/x.git',
    'git@host.invalid:me/x',
    'ssh://git@host.invalid:22/x',
    'file:///srv/x',
    '/srv/x',
  ])('%j is one', (url) => expect(() => expectGitUrl(url)).not.toThrow());
  test.each(['-x', 'a..b', 'a b', 'a.lock', '', 'a//b', 'refs@{1}', 'x/'])('%j is no ref', (ref) =>
    expect(() => expectGitRef('/srv/x', ref)).toThrow(expect.objectContaining({ code: 'CORE_GIT_REF' })),
  );
});

test('it is told where branches, tags and the default branch are', async () => {
  const { dir, url, first } = repository(temporaryFolder());
  run(dir, 'tag', '--annotate', 'v1', '--message', 'one');
  run(dir, 'checkout', '--quiet', '-b', 'dev');
  const second = commit(dir, { file: 'two\n' });
  run(dir, 'checkout', '--quiet', 'main');
  expect(await git.remoteCommit({ url })).toBe(first);
  expect(await git.remoteCommit({ url, ref: 'dev' })).toBe(second);
  expect(await git.remoteCommit({ url, ref: 'v1' })).toBe(first);
  expect(await git.remoteCommit({ url, ref: first.slice(0, 8) })).toBeUndefined();
  await expect(git.remoteCommit({ url, ref: 'nothing-like-it' })).rejects.toMatchObject({ code: 'CORE_GIT_REF' });
  await expect(git.remoteCommit({ url: `${url}-not` })).rejects.toMatchObject({
    code: 'CORE_GIT_REPOSITORY',
    details: { refused: false },
  });
});

test('a clone is whole or not there', async () => {
  const root = temporaryFolder();
  const { dir, url, first } = repository(root);
  commit(dir, { file: 'two\n' });
  mkdirSync(join(root, 'clones'));
  const clone = join(root, 'clones', 'one');
  expect(await git.clone({ url, ref: first }, clone)).toBe(first);
  expect(readFileSync(join(clone, 'file'), 'utf8')).toBe('one\n');
  await expect(git.clone({ url, ref: 'f'.repeat(40) }, join(root, 'clones', 'two'))).rejects.toMatchObject({
    code: 'CORE_GIT_REF',
  });
  expect(readdirSync(join(root, 'clones'))).toEqual(['one']);
});

test('submodules come with it when they are asked for', async () => {
  const root = temporaryFolder();
  const [inner, outer] = [repository(root, 'inner'), repository(root, 'outer')];
  run(outer.dir, 'submodule', '--quiet', 'add', inner.url, 'inner');
  commit(outer.dir, {});
  await git.clone({ url: outer.url }, join(root, 'without'));
  expect(existsSync(join(root, 'without/inner/file'))).toBe(false);
  await git.clone({ url: outer.url, recursive: true }, join(root, 'with'));
  expect(existsSync(join(root, 'with/inner/file'))).toBe(true);
});

test('a look tells what is there and touches nothing', async () => {
  const root = temporaryFolder();
  const { url, first } = repository(root);
  const clone = join(root, 'clone');
  await git.clone({ url }, clone);
  expect(await git.inspect(clone)).toEqual({ commit: first, origin: url, edits: [], isPublished: true });
  expect(await git.inspect(root)).toBeUndefined();
  writeFileSync(join(clone, 'file'), 'one\n'); // the same, but Git cannot know by its time
  const index = () => statSync(join(clone, '.git', 'index'), { bigint: true }).mtimeNs;
  const before = index();
  expect((await git.inspect(clone))?.edits).toEqual([]);
  expect(index()).toBe(before);
  writeFileSync(join(clone, 'file'), 'mine\n');
  expect((await git.inspect(clone))?.edits).toEqual(['file']);
  const own = commit(clone, {});
  expect(await git.inspect(clone)).toMatchObject({ commit: own, edits: [], isPublished: false });
});

test('a checkout follows, and overwrites nothing that Git does not keep', async () => {
  const root = temporaryFolder();
  const { dir, url, first } = repository(root);
  const clone = join(root, 'clone');
  await git.clone({ url }, clone);
  const second = commit(dir, { file: 'two\n', other: 'theirs\n', '.gitignore': 'other\n' });
  writeFileSync(join(clone, 'other'), 'mine\n');
  await expect(git.checkOut(clone, { url })).rejects.toMatchObject({
    code: 'CORE_GIT_IN_THE_WAY',
    details: { files: ['other'] },
  });
  expect(readFileSync(join(clone, 'other'), 'utf8')).toBe('mine\n');
  expect(await git.checkOut(clone, { url }, { force: true })).toBe(second);
  expect(readFileSync(join(clone, 'other'), 'utf8')).toBe('theirs\n');
  expect(await git.checkOut(clone, { url, ref: first })).toBe(first);
});

test('edits are stashed, given back or kept on a branch', async () => {
  const root = temporaryFolder();
  const { url, first } = repository(root);
  const clone = join(root, 'clone');
  await git.clone({ url }, clone);
  writeFileSync(join(clone, 'file'), 'mine\n');
  await git.stash(clone, 'of somebody');
  expect(run(clone, 'stash', 'list')).toContain('of somebody');
  writeFileSync(join(clone, 'file'), 'again\n');
  await git.restore(clone, ['file']);
  expect((await git.inspect(clone))?.edits).toEqual([]);
  const own = commit(clone, { file: 'own\n' });
  await git.keep(clone, 'kept');
  await git.checkOut(clone, { url, ref: first });
  expect(run(clone, 'rev-parse', 'kept')).toBe(own);
});

test("an operator's editor, pager and password prompt are no hindrance", async () => {
  const { url, first } = repository(temporaryFolder());
  const busy = {
    ...env,
    EDITOR: 'vi',
    VISUAL: 'vi',
    PAGER: 'less',
    SSH_ASKPASS: '/bin/false',
    GIT_DIR: '/nowhere',
    GIT_EDITOR: 'vi',
  };
  expect(await new Git({ env: busy }).remoteCommit({ url })).toBe(first);
});

test('called off, it ends with the reason', async () => {
  const { url } = repository(temporaryFolder());
  const signal = AbortSignal.abort(new Error('enough'));
  await expect(new Git({ env, signal }).remoteCommit({ url })).rejects.toThrow('enough');
});
