import { chmodSync, existsSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lockFolder } from '@mgpu/core';
import { describe, expect, test } from 'vitest';
import { copiesIn, env, filesIn, git, read, Shared, serverWith, temporaryFolder, write } from './support.ts';

describe('both ways', () => {
  test('a new machine gets what is there, and what it has already goes there', async () => {
    const shared = new Shared({ 'a.json': 'theirs\n', 'same.json': 'same\n' });
    const { dir, sync } = shared.machine('box');
    write(dir, { 'a.json': 'mine\n', 'same.json': 'same\n', 'below/b.json': 'mine\n' });
    const report = await sync();
    expect(report).toMatchObject({ received: true, pushed: true, problem: undefined, commit: shared.head });
    expect(report.conflicts).toEqual([
      { path: 'a.json', copy: expect.stringMatching(/^a\.sync-conflict-\d{8}-\d{9}-box\.json$/) },
    ]);
    expect(filesIn(dir)).toEqual(shared.files);
    expect(shared.files).toMatchObject({ 'a.json': 'theirs\n', 'same.json': 'same\n', 'below/b.json': 'mine\n' });
    expect(copiesIn(shared.files)).toEqual(['mine\n']);
    expect(git(dir, 'status', '--porcelain')).toBe('');
    const again = await sync();
    expect(again).toMatchObject({
      committed: [],
      received: false,
      pushed: false,
      conflicts: [],
      commit: report.commit,
    });
  });

  test('an empty repository is begun, on the branch that is asked for', async () => {
    const shared = new Shared(null, 'trunk');
    const { dir, sync } = shared.machine('box', { branch: 'trunk' });
    expect(await sync()).toMatchObject({ commit: undefined, pushed: false, problem: undefined });
    write(dir, { 'a.json': '1\n' });
    expect(await sync()).toMatchObject({ committed: ['a.json'], pushed: true });
    expect(shared.files).toEqual({ 'a.json': '1\n' });
  });

  test('edits of two machines and of somebody else come to all of them, removals and odd names too', async () => {
    const shared = new Shared({ 'a.json': '1\n', 'b.json': '1\n', 'gone.json': '1\n' });
    const [one, two] = [shared.machine('one'), shared.machine('two')];
    await one.sync();
    await two.sync();
    write(one.dir, {
      'a.json': 'one\n',
      'gone.json': undefined,
      '[x] *.json': 'odd\n',
      'ü "q".json': 'odd\n',
      '-rf': 'odd\n',
    });
    write(two.dir, { 'b.json': 'two\n' });
    shared.push({ 'c.json': 'else\n' });
    await one.sync();
    expect(await two.sync()).toMatchObject({ received: true, pushed: true, conflicts: [] });
    await one.sync();
    expect(shared.files).toEqual({
      'a.json': 'one\n',
      'b.json': 'two\n',
      'c.json': 'else\n',
      '[x] *.json': 'odd\n',
      'ü "q".json': 'odd\n',
      '-rf': 'odd\n',
    });
    expect(filesIn(one.dir)).toEqual(shared.files);
    expect(filesIn(two.dir)).toEqual(shared.files);
  });

  test('only a folder of a larger repository is shared where that is asked for', async () => {
    const shared = new Shared({ 'config.json': '1\n', 'workflows/a.json': '1\n' });
    const { dir, sync } = shared.machine('box', { folder: 'workflows' });
    write(dir, { 'models/large.bin': 'not for sharing\n' });
    await sync();
    write(dir, { 'config.json': 'mine\n', 'workflows/b.json': 'mine\n' });
    shared.push({ 'workflows/a.json': '2\n' });
    expect(await sync()).toMatchObject({ committed: ['workflows/b.json'], received: true });
    expect(shared.files).toEqual({ 'config.json': '1\n', 'workflows/a.json': '2\n', 'workflows/b.json': 'mine\n' });
    expect(read(dir, 'config.json')).toBe('mine\n');
    // What is not shared is not written over either.
    shared.push({ 'config.json': '2\n' });
    await expect(sync()).rejects.toMatchObject({ code: 'CORE_GIT_IN_THE_WAY', details: { files: ['config.json'] } });
    expect(read(dir, 'config.json')).toBe('mine\n');
  });

  test('a checkout of a person goes on as it is, with its branch and its own commits', async () => {
    const shared = new Shared();
    const dir = join(shared.root, 'box');
    git(shared.root, 'clone', '--quiet', shared.bare, dir);
    write(dir, { 'mine.json': '1\n' });
    git(dir, 'add', 'mine.json');
    git(dir, 'commit', '--quiet', '--message', 'by hand');
    shared.push({ 'a.json': '2\n' });
    const { sync } = shared.machine('box', { url: undefined });
    expect(await sync()).toMatchObject({ received: true, pushed: true });
    expect(git(shared.bare, 'log', '-1', '--format=%s %an')).toBe('by hand test');
  });
});

describe('nothing is lost', () => {
  test('whatever both sides did to a file, both versions are there afterwards', async () => {
    const before = {
      'changed.json': '1\n',
      'gone there.json': '1\n',
      'gone here.json': '1\n',
      'alike.json': '1\n',
      'lines.json': '1\n2\n3\n4\n5\n',
      'other.json': '1\n',
    };
    const shared = new Shared(before);
    const { dir, sync } = shared.machine('box');
    await sync();
    write(dir, {
      'changed.json': 'mine\n',
      'gone there.json': 'mine, too\n',
      'gone here.json': undefined,
      'alike.json': 'same\n',
      'lines.json': '1x\n2\n3\n4\n5\n',
      'new.json': 'mine, new\n',
    });
    shared.push({
      'changed.json': 'theirs\n',
      'gone there.json': undefined,
      'gone here.json': 'theirs\n',
      'alike.json': 'same\n',
      'lines.json': '1\n2\n3\n4\n5x\n',
      'new.json': 'theirs\n',
    });
    const report = await sync();
    expect(report.problem).toBeUndefined();
    expect(report.conflicts.map(({ path, copy }) => `${path} ${copy !== undefined}`).toSorted()).toEqual([
      'changed.json true',
      'gone here.json false',
      'gone there.json true',
      'lines.json true',
      'new.json true',
    ]);
    const files = filesIn(dir);
    expect(files).toEqual(shared.files);
    expect(copiesIn(files).toSorted()).toEqual(['1x\n2\n3\n4\n5\n', 'mine\n', 'mine, new\n', 'mine, too\n']);
    const named = Object.fromEntries(Object.entries(files).filter(([name]) => !name.includes('.sync-conflict-')));
    expect(named).toEqual({
      'changed.json': 'theirs\n',
      'gone here.json': 'theirs\n',
      'alike.json': 'same\n',
      'lines.json': '1\n2\n3\n4\n5x\n',
      'new.json': 'theirs\n',
      'other.json': '1\n',
    });
  });

  test('what cannot be pushed waits here, and several edits of one file meet a conflict as one', async () => {
    const shared = new Shared();
    const { dir, sync } = shared.machine('box');
    await sync();
    const away = `${shared.bare}.away`;
    renameSync(shared.bare, away);
    for (const text of ['first\n', 'second\n']) {
      write(dir, { 'a.json': text, [`${text.trim()}.json`]: text });
      expect(await sync()).toMatchObject({ pushed: false, problem: { code: 'CORE_GIT_REPOSITORY' } });
    }
    renameSync(away, shared.bare);
    shared.push({ 'a.json': 'theirs\n' });
    expect(await sync()).toMatchObject({ received: true, pushed: true, problem: undefined });
    expect(copiesIn(shared.files)).toEqual(['second\n']);
    expect(shared.files).toMatchObject({ 'a.json': 'theirs\n', 'first.json': 'first\n', 'second.json': 'second\n' });
  });

  test('a push that comes too late begins anew on what was pushed', async () => {
    const shared = new Shared();
    const { dir, sync } = shared.machine('box');
    await sync();
    // Somebody else is faster, once: between our fetch and our push.
    const other = join(shared.root, 'fast');
    git(shared.root, 'clone', '--quiet', shared.bare, other);
    write(other, { 'fast.json': '1\n' });
    git(other, 'add', '--all');
    git(other, 'commit', '--quiet', '--message', 'faster');
    const flag = join(shared.root, 'done');
    const hook = `#!/bin/sh\n[ -e '${flag}' ] && exit 0\ntouch '${flag}'\nenv -u GIT_DIR -u GIT_QUARANTINE_PATH -u GIT_OBJECT_DIRECTORY -u GIT_ALTERNATE_OBJECT_DIRECTORIES git -C '${other}' push --quiet origin HEAD\n`;
    write(shared.bare, { 'hooks/pre-receive': hook });
    chmodSync(join(shared.bare, 'hooks/pre-receive'), 0o755);
    write(dir, { 'a.json': 'mine\n' });
    expect(await sync()).toMatchObject({ received: true, pushed: true, problem: undefined, conflicts: [] });
    expect(shared.files).toEqual({ 'a.json': 'mine\n', 'fast.json': '1\n' });
    expect(filesIn(dir)).toEqual(shared.files);
  });

  test('a draft that nobody shares makes room under another name', async () => {
    const shared = new Shared();
    const { dir, sync } = shared.machine('box');
    await sync();
    write(dir, { 'Unsaved Workflow.json': 'mine\n' });
    shared.push({ 'Unsaved Workflow.json': 'theirs\n' });
    await sync();
    expect(read(dir, 'Unsaved Workflow.json')).toBe('theirs\n');
    expect(copiesIn(filesIn(dir))).toEqual(['mine\n']);
    expect(copiesIn(shared.files)).toEqual([]);
  });

  test('a folder that was emptied is given back, single removals where that is asked for', async () => {
    const shared = new Shared({ 'a.json': '1\n', 'b.json': '1\n' });
    const [box, careful] = [shared.machine('box'), shared.machine('careful', { deletions: 'restore' })];
    await box.sync();
    write(box.dir, { 'a.json': undefined, 'b.json': undefined });
    expect(await box.sync()).toMatchObject({ restored: ['a.json', 'b.json'], pushed: false });
    await careful.sync();
    write(careful.dir, { 'a.json': undefined });
    expect(await careful.sync()).toMatchObject({ restored: ['a.json'] });
    for (const { dir } of [box, careful]) expect(filesIn(dir)).toEqual({ 'a.json': '1\n', 'b.json': '1\n' });
    write(box.dir, { 'a.json': undefined });
    expect(await box.sync()).toMatchObject({ committed: ['a.json'], restored: [], pushed: true });
  });
});

test('scratch files, links, large ones and repositories stay where they are', async () => {
  const shared = new Shared();
  const { dir, sync, hasEdits } = shared.machine('box', { maxFileBytes: 1_000 });
  await sync();
  const scratch = [
    '.index.json',
    '.trash/x.json',
    'x.json~',
    'x.tmp',
    'Unsaved Workflow (2).json',
    'https%3A%2F%2Fx.json',
    'b/http:__x.json',
  ];
  write(dir, Object.fromEntries(scratch.map((name) => [name, 'x\n'])));
  expect(await hasEdits()).toBe(false);
  write(dir, { 'large.json': 'x'.repeat(2_000) });
  symlinkSync('/etc/passwd', join(dir, 'link.json'));
  git(dir, 'init', '--quiet', 'inner');
  const report = await sync();
  expect(report).toMatchObject({ committed: [], pushed: false });
  expect(report.left.map(({ path }) => path).toSorted()).toEqual(['inner/', 'large.json', 'link.json']);
  write(dir, { 'good.json': '1\n' });
  expect(await hasEdits()).toBe(true);
  expect(await sync()).toMatchObject({ committed: ['good.json'] });
  expect(Object.keys(shared.files)).toEqual(['a.json', 'good.json']);
});

describe('a repository that cannot be had', () => {
  test.each([
    [401, 'CORE_GIT_REPOSITORY'],
    [503, 'CORE_GIT_FAILED'],
  ])('answers %i: no failure, and the edit is kept', async (status, code) => {
    const shared = new Shared();
    const { dir, sync } = shared.machine('box');
    await sync();
    write(dir, { 'a.json': 'mine\n' });
    const refusing = shared.machine('box', { url: await serverWith(status) });
    expect(await refusing.sync()).toMatchObject({ committed: ['a.json'], pushed: false, problem: { code } });
    expect(await sync()).toMatchObject({ pushed: true });
    expect(shared.files).toEqual({ 'a.json': 'mine\n' });
  });

  test('before there is a checkout, what lies there is left as it is', async () => {
    const shared = new Shared();
    const { dir, sync } = shared.machine('box', { url: await serverWith(401) });
    write(dir, { 'a.json': 'mine\n' });
    expect(await sync()).toMatchObject({ problem: { code: 'CORE_GIT_REPOSITORY', details: { refused: true } } });
    expect(filesIn(dir)).toEqual({ 'a.json': 'mine\n' });
  });

  test('one that only lets read keeps the edit here, and what others do still comes', async () => {
    const shared = new Shared();
    const { dir, sync } = shared.machine('box');
    await sync();
    write(shared.bare, {
      'hooks/pre-receive': '#!/bin/sh\necho "ERROR: the key is marked as read only" >&2\nexit 1\n',
    });
    write(dir, { 'mine.json': '1\n' });
    git(shared.bare, 'config', 'core.hooksPath', '/nonexistent');
    shared.push({ 'a.json': '2\n' });
    git(shared.bare, 'config', '--unset', 'core.hooksPath');
    chmodSync(join(shared.bare, 'hooks/pre-receive'), 0o755);
    expect(await sync()).toMatchObject({
      received: true,
      pushed: false,
      problem: { code: 'CORE_GIT_REPOSITORY', details: { refused: true } },
    });
    expect(filesIn(dir)).toEqual({ 'a.json': '2\n', 'mine.json': '1\n' });
  });
});

describe('what is not for us to touch', () => {
  test('another repository, another branch, the unfinished work of a person, a pass of somebody else', async () => {
    const [shared, other] = [new Shared(), new Shared({ 'x.json': '1\n' })];
    const { dir, sync } = shared.machine('box');
    await sync();
    const foreign = shared.machine('box', { url: other.url });
    for (const _ of [1, 2]) await expect(foreign.sync()).rejects.toMatchObject({ code: 'WORKFLOWS_OTHER_REPOSITORY' });
    const [before, after] = [other.head, git(dir, 'config', 'remote.origin.url')];
    expect([before, after]).toEqual([other.head, shared.url]);
    await expect(shared.machine('box', { branch: 'dev' }).sync()).rejects.toMatchObject({
      code: 'WORKFLOWS_OTHER_BRANCH',
    });
    git(dir, 'checkout', '--quiet', '--detach');
    await expect(sync()).rejects.toMatchObject({ code: 'WORKFLOWS_OTHER_BRANCH', details: { found: undefined } });
    git(dir, 'checkout', '--quiet', 'main');
    writeFileSync(join(dir, '.git', 'MERGE_HEAD'), `${shared.head}\n`);
    await expect(sync()).rejects.toMatchObject({ code: 'WORKFLOWS_UNFINISHED', details: { work: 'merge' } });
    rmSync(join(dir, '.git', 'MERGE_HEAD'));
    using _lock = await lockFolder(dir);
    await expect(sync()).rejects.toMatchObject({ code: 'CORE_FOLDER_BUSY' });
  });

  test('a folder without a repository, and none named', async () => {
    const { WorkflowSync } = await import('../src/index.ts');
    const dir = temporaryFolder();
    const sync = new WorkflowSync({ dir, machine: 'box', env: () => env });
    await expect(sync.sync()).rejects.toMatchObject({ code: 'WORKFLOWS_NO_REPOSITORY' });
    expect(await sync.hasEdits()).toBe(false);
    expect(readdirSync(dir)).toEqual([]);
  });

  test('a pass that is called off ends with the reason, and the next one goes on', async () => {
    const shared = new Shared();
    const { dir, sync } = shared.machine('box');
    await sync();
    write(dir, { 'a.json': 'mine\n' });
    const hook = join(shared.bare, 'hooks', 'pre-receive');
    const waiting = join(shared.root, 'waiting');
    write(shared.bare, {
      'hooks/pre-receive': `#!/bin/sh\necho $$ > '${waiting}.new'\nmv '${waiting}.new' '${waiting}'\nexec sleep 60\n`,
    });
    chmodSync(hook, 0o755);
    const calledOff = new AbortController();
    const pass = sync(calledOff.signal);
    await expect.poll(() => existsSync(waiting)).toBe(true);
    calledOff.abort(new Error('enough'));
    await expect(pass).rejects.toThrow('enough');
    process.kill(Number(read(waiting)), 'SIGKILL'); // the other side of a file URL is a process here
    rmSync(hook);
    expect(await sync()).toMatchObject({ pushed: true, problem: undefined });
  });
});
