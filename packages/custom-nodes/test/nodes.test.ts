import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { lockFolder, systemClock } from '@mgpu/core';
import { expect, onTestFinished, test } from 'vitest';
import { type NodesProgress, readSnapshot } from '../src/index.ts';
import {
  engineIn,
  env,
  git,
  listing,
  listOf,
  managerOf,
  outcomes,
  Repository,
  read,
  resultIn,
  temporaryFolder,
} from './support.ts';

/** An engine without nodes, and a repository for one. */
function bench() {
  const root = temporaryFolder();
  const target = engineIn(join(root, 'engine'));
  const repository = (name: string, files?: Record<string, string>) =>
    new Repository(join(root, 'repositories', name), files);
  const pack = (name: string, ...path: string[]) => join(target.packs, name, ...path);
  return { root, target, repository, pack };
}

const headOf = (dir: string) => git(dir, 'rev-parse', 'HEAD');

test('a node follows its branch, stays at its commit, and moves to another repository', async () => {
  const { target, repository, pack } = bench();
  const [one, other] = [repository('one'), repository('other', { 'other.py': '' })];
  const manager = managerOf(target);
  const first = one.head;
  await manager.apply(listOf({ name: 'one', url: one.url }));
  const second = one.commit({ 'more.py': '' });
  const list = listOf({ name: 'one', url: one.url });
  expect((await manager.plan(list)).nodes).toMatchObject([{ action: 'update', from: first, to: second }]);
  expect(headOf(pack('one'))).toBe(first);
  expect(outcomes(await manager.apply(list, { update: 'missing' }))).toEqual({ one: 'skipped' });
  expect(outcomes(await manager.apply(list))).toEqual({ one: 'done' });
  expect(headOf(pack('one'))).toBe(second);
  expect(outcomes(await manager.apply(listOf({ name: 'one', url: one.url, commit: first.slice(0, 10) })))).toEqual({
    one: 'done',
  });
  expect(headOf(pack('one'))).toBe(first);
  const moved = await manager.apply(listOf({ name: 'one', url: other.url }));
  expect(moved.nodes).toMatchObject([{ action: 'switch', status: 'done' }]);
  expect(existsSync(pack('one', 'other.py'))).toBe(true);
  expect(manager.lock()?.nodes.one).toMatchObject({ url: other.url, commit: other.head });
});

test('edits and commits of somebody are left alone, and kept when it is forced', async () => {
  const { target, repository, pack } = bench();
  const one = repository('one', { 'node.py': 'one\n' });
  const manager = managerOf(target);
  const list = listOf({ name: 'one', url: one.url });
  await manager.apply(list);
  one.commit({ 'node.py': 'two\n', 'notes.txt': 'theirs\n' });
  git(pack('one'), 'checkout', '--quiet', '-b', 'mine');
  writeFileSync(pack('one', 'node.py'), 'mine\n');
  git(pack('one'), 'commit', '--quiet', '--all', '--message', 'mine');
  const mine = headOf(pack('one'));
  writeFileSync(pack('one', 'node.py'), 'edited\n');
  const refused = await manager.apply(list);
  expect(resultIn(refused, 'one').error).toMatchObject({
    code: 'NODES_EDITED',
    details: { edits: ['node.py'], unpublished: mine },
  });
  expect(read(pack('one', 'node.py'))).toBe('edited\n');
  const forced = await manager.apply(list, { force: true });
  expect(resultIn(forced, 'one')).toMatchObject({
    status: 'done',
    notes: [
      expect.stringContaining('git stash list'),
      `its own commit was kept on the branch mgpu-kept-${mine.slice(0, 12)}`,
    ],
  });
  expect(read(pack('one', 'node.py'))).toBe('two\n');
  expect(git(pack('one'), 'stash', 'show', '--patch')).toContain('+edited');
  expect(git(pack('one'), 'rev-parse', `mgpu-kept-${mine.slice(0, 12)}`)).toBe(mine);
});

test('a file that Git does not keep is not overwritten', async () => {
  const { target, repository, pack } = bench();
  const one = repository('one', { '.gitignore': '*.local\n' });
  const manager = managerOf(target);
  const list = listOf({ name: 'one', url: one.url });
  await manager.apply(list);
  writeFileSync(pack('one', 'settings.local'), 'mine\n');
  const before = headOf(pack('one'));
  git(one.dir, 'rm', '--quiet', '.gitignore');
  one.commit({ 'settings.local': 'theirs\n' });
  const report = await manager.apply(list, { force: true });
  expect(resultIn(report, 'one').error).toMatchObject({ code: 'NODES_EDITED', details: { edits: ['settings.local'] } });
  expect(read(pack('one', 'settings.local'))).toBe('mine\n');
  expect(headOf(pack('one'))).toBe(before);
});

test('nodes are put aside and back, and pruned only when an apply brought them and nobody edited them', async () => {
  const { target, repository, pack } = bench();
  const [one, two, edited] = [repository('one'), repository('two'), repository('edited', { 'node.py': '' })];
  const manager = managerOf(target);
  const all = [one, two, edited].map(({ url }, index) => ({ name: ['one', 'two', 'edited'][index] ?? '', url }));
  await manager.apply(listOf(...all));
  mkdirSync(pack('by-hand'));
  const off = await manager.apply(listOf({ ...all[0], enabled: false }, ...all.slice(1)));
  expect(off.nodes[0]).toMatchObject({ action: 'disable', status: 'done' });
  expect(existsSync(pack('.disabled', 'one', '__init__.py'))).toBe(true);
  expect(manager.lock()?.nodes.one?.enabled).toBe(false);
  expect(
    (await manager.list()).map(({ name, kind, isEnabled, isLocked }) => [name, kind, isEnabled, isLocked]),
  ).toEqual([
    ['by-hand', 'folder', true, false],
    ['edited', 'git', true, true],
    ['one', 'git', false, true],
    ['two', 'git', true, true],
  ]);
  expect((await manager.apply(listOf(...all))).nodes[0]).toMatchObject({ action: 'enable', status: 'done' });
  writeFileSync(pack('edited', 'node.py'), 'mine\n');
  expect(outcomes(await manager.apply(listOf(all[0] ?? {})))).toEqual({ one: 'skipped' });
  expect(existsSync(pack('two'))).toBe(true);
  const pruned = await manager.apply(listOf(all[0] ?? {}), { prune: true });
  expect(outcomes(pruned)).toEqual({ one: 'skipped', two: 'done', edited: 'failed NODES_EDITED' });
  expect(readdirSync(target.packs).sort()).toEqual(['.disabled', 'by-hand', 'edited', 'one']);
  expect(Object.keys(manager.lock()?.nodes ?? {})).toEqual(['edited', 'one']);
});

test("what is somebody's own is left alone", async () => {
  const { root, target, repository, pack } = bench();
  const one = repository('one');
  mkdirSync(pack('folder'));
  mkdirSync(join(root, 'elsewhere'));
  symlinkSync(join(root, 'elsewhere'), pack('link'));
  writeFileSync(pack('file'), '');
  const names = ['folder', 'link', 'file'];
  const report = await managerOf(target).apply(listOf(...names.map((name) => ({ name, url: one.url }))), {
    force: true,
  });
  expect(Object.values(outcomes(report))).toEqual(names.map(() => 'failed NODES_FOREIGN'));
  expect(report.outcome).toBe('failed');
  expect(readdirSync(join(root, 'elsewhere'))).toEqual([]);
});

test('only allowed URLs are used', async () => {
  const { root, target, repository } = bench();
  const one = repository('one');
  const manager = managerOf(target, { allow: [`file://${root}/repositories/o*`, 'https://good.invalid/*'] });
  const report = await manager.apply(
    listOf(
      { name: 'one', url: one.url },
      { name: 'two', url: `file://${root}/repositories/o/../two` },
      { name: 'three', url: 'https://good.invalid@evil.invalid/x' },
    ),
  );
  const refused = 'failed NODES_URL_NOT_ALLOWED';
  expect(outcomes(report)).toEqual({ one: 'done', two: refused, three: refused });
});

test('an .env is written anew when its values change, never through a link, and is no edit', async () => {
  const { root, target, repository, pack } = bench();
  const one = repository('one', { '.env': 'TOKEN=example\n' });
  const outside = join(root, 'outside');
  writeFileSync(outside, 'untouched');
  const list = listOf({ name: 'one', url: one.url, env: { TOKEN: '${TOKEN}' } });
  const apply = (TOKEN: string) => managerOf(target, { env: { ...env, TOKEN } }).apply(list);
  expect(outcomes(await apply('first'))).toEqual({ one: 'done' });
  expect(outcomes(await apply('first'))).toEqual({ one: 'skipped' });
  expect(outcomes(await apply('second'))).toEqual({ one: 'done' });
  expect(read(pack('one', '.env'))).toBe('TOKEN=second\n');
  rmSync(pack('one', '.env'));
  symlinkSync(outside, pack('one', '.env'));
  one.commit({ '.env': 'TOKEN=another\n' });
  expect(outcomes(await apply('second'))).toEqual({ one: 'done' });
  expect(read(outside)).toBe('untouched');
  expect(read(pack('one', '.env'))).toBe('TOKEN=second\n');
  expect(statSync(pack('one', '.env')).mode & 0o777).toBe(0o600);
});

test('scripts run once, in their order, with the engine at hand', async () => {
  const { root, target, repository, pack } = bench();
  const [one, two] = [repository('one'), repository('two')];
  const log = join(root, 'log');
  const script = (word: string) => `echo ${word} "$COMFYUI_PATH" >> '${log}'`;
  const list = listOf(
    { name: 'one', url: one.url, custom_script: script('last'), install_order: 2 },
    { name: 'two', url: two.url, custom_script: script('first'), install_order: 1 },
  );
  const manager = managerOf(target);
  await manager.apply(list);
  expect(outcomes(await manager.apply(list))).toEqual({ one: 'skipped', two: 'skipped' });
  expect(read(log)).toBe(`first ${target.engine}\nlast ${target.engine}\n`);
  const none = await managerOf(target, { scripts: 'none' }).apply(
    listOf({ name: 'three', url: one.url, custom_script: 'exit 1' }),
  );
  expect(resultIn(none, 'three')).toMatchObject({ status: 'done', notes: [expect.stringContaining('switched off')] });
  expect(existsSync(pack('three'))).toBe(true);
});

test('a script that fails or hangs takes its update back, and is tried again only when asked or changed', async () => {
  const { root, target, repository, pack } = bench();
  const one = repository('one', { 'node.py': 'one\n' });
  const manager = managerOf(target);
  const runs = join(root, 'runs');
  const entry = {
    name: 'one',
    url: one.url,
    custom_script: `echo run >> '${runs}'; [ ! -e bad ] || { echo hopeless; exit 4; }`,
  };
  const list = listOf(entry);
  await manager.apply(list);
  const good = one.head;
  one.commit({ bad: '', 'node.py': 'two\n' });
  const failed = resultIn(await manager.apply(list), 'one');
  expect(failed).toMatchObject({ status: 'failed', commit: good, error: { code: 'NODES_SCRIPT_FAILED' } });
  expect(failed.error?.message).toContain('hopeless');
  expect(headOf(pack('one'))).toBe(good);
  expect(manager.lock()?.nodes.one?.commit).toBe(good);
  const before = listing(join(root, 'engine'));
  expect(resultIn(await manager.apply(list), 'one')).toMatchObject({
    isRemembered: true,
    error: { message: failed.error?.message },
  });
  expect(listing(join(root, 'engine'))).toEqual(before);
  expect(read(runs)).toBe('run\nrun\n');
  await manager.apply(list, { retry: true });
  expect(read(runs)).toBe('run\nrun\nrun\n');
  const hurried = managerOf(target, { scriptTimeoutMs: 300 });
  const hung = await hurried.apply(listOf({ ...entry, custom_script: 'sleep 60' }));
  expect(resultIn(hung, 'one').error?.message).toContain('it took longer than 0.3 s');
  git(one.dir, 'rm', '--quiet', 'bad');
  one.commit({ 'node.py': 'three\n' });
  expect(outcomes(await manager.apply(list))).toEqual({ one: 'done' });
});

test('what may pass is tried again, with longer and longer pauses', async () => {
  const { target } = bench();
  let asked = 0;
  const server = createServer((_, response) => {
    asked += 1;
    response.writeHead(503).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as { port: number };
  const waits: number[] = [];
  const clock = { ...systemClock, sleep: async (ms: number) => void waits.push(ms) };
  const report = await managerOf(target, { attempts: 3, clock }).apply(
    listOf({ name: 'one', url: `http://127.0.0.1:${port}/x.git` }),
  );
  expect(resultIn(report, 'one').error).toMatchObject({ code: 'CORE_GIT_FAILED', retryable: true });
  expect(asked).toBe(3);
  expect(waits[0]).toBeGreaterThanOrEqual(250);
  expect(waits[0]).toBeLessThanOrEqual(500);
  expect(waits[1]).toBeGreaterThanOrEqual(500);
});

test('several are worked on at the same time, and no more', async () => {
  const { target } = bench();
  const waiting: (() => void)[] = [];
  let most = 0;
  // Nobody is answered before three have asked.
  const server = createServer((_, response) => {
    waiting.push(() => response.writeHead(404).end());
    most = Math.max(most, waiting.length);
    if (waiting.length === 3) for (const answer of waiting.splice(0)) answer();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as { port: number };
  const nodes = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => ({ name, url: `http://127.0.0.1:${port}/${name}.git` }));
  const report = await managerOf(target, { concurrency: 3, attempts: 1 }).apply(listOf(...nodes));
  expect(most).toBe(3);
  expect(Object.values(outcomes(report))).toEqual(nodes.map(() => 'failed CORE_GIT_REPOSITORY'));
});

test('of two at once one is refused', async () => {
  const { target, repository } = bench();
  const list = listOf({ name: 'one', url: repository('one').url });
  {
    using _ = await lockFolder(target.packs);
    await expect(managerOf(target).apply(list)).rejects.toMatchObject({ code: 'CORE_FOLDER_BUSY' });
  }
  expect(outcomes(await managerOf(target).apply(list))).toEqual({ one: 'done' });
});

test('an apply that is called off leaves nothing half done, and the next one goes on', async () => {
  const { root, target, repository, pack } = bench();
  const list = listOf(
    { name: 'one', url: repository('one').url },
    { name: 'two', url: repository('two').url, custom_script: `[ -e '${root}/go' ] || sleep 60` },
  );
  const off = new AbortController();
  const onProgress = ({ step }: NodesProgress) => {
    if (step === 'script') off.abort(new Error('enough'));
  };
  await expect(managerOf(target, { signal: off.signal }).apply(list, { onProgress })).rejects.toThrow('enough');
  expect(existsSync(pack('.mgpu.disabled'))).toBe(false);
  writeFileSync(join(root, 'go'), '');
  expect((await managerOf(target).apply(list)).outcome).toBe('done');
  expect(Object.keys(managerOf(target).lock()?.nodes ?? {})).toEqual(['one', 'two']);
});

test('an apply that is killed is finished by the next one, and taken back as a whole', async () => {
  const { root, target, repository, pack } = bench();
  const [one, two] = [repository('one', { 'node.py': 'one\n' }), repository('two')];
  await managerOf(target).apply(listOf({ name: 'one', url: one.url }));
  const former = one.head;
  const updated = one.commit({ 'node.py': 'two\n' });
  const entries = [
    { name: 'one', url: one.url },
    { name: 'two', url: two.url, custom_script: `[ -e '${root}/go' ] || { echo waiting; exec sleep 60; }` },
  ];
  const program = join(import.meta.dirname, 'fixtures', 'apply.ts');
  const child = spawn(process.execPath, [program, JSON.stringify({ target, entries })], {
    env: env as NodeJS.ProcessEnv,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: child.stdout })) if (line === 'script') child.kill('SIGKILL');
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  expect(child.signalCode).toBe('SIGKILL');
  expect(headOf(pack('one'))).toBe(updated);
  // As if Git had been killed in the middle of it.
  git(pack('one'), 'update-ref', '--no-deref', 'HEAD', former);
  writeFileSync(pack('one', '.git', 'index.lock'), '');
  writeFileSync(join(root, 'go'), '');
  const report = await managerOf(target).apply(listOf(...entries));
  expect(outcomes(report)).toEqual({ one: 'done', two: 'done' });
  expect(headOf(pack('one'))).toBe(updated);
  expect(git(pack('one'), 'status', '--porcelain')).toBe('');
  const back = await managerOf(target).rollback();
  expect(outcomes(back)).toEqual({ one: 'done', two: 'done' });
  expect(headOf(pack('one'))).toBe(former);
  expect(existsSync(pack('two'))).toBe(false);
  expect(Object.keys(managerOf(target).lock()?.nodes ?? {})).toEqual(['one']);
  await expect(managerOf(target).rollback()).rejects.toMatchObject({ code: 'NODES_NO_ROLLBACK' });
});

test('a snapshot is restored as far as that goes, and what differs is told one by one', async () => {
  const { target, repository, pack } = bench();
  const [one, off] = [repository('one'), repository('off')];
  const wanted = one.head;
  one.commit({ 'more.py': '' });
  mkdirSync(pack('surplus'));
  const snapshot = readSnapshot(
    JSON.stringify({
      comfyui: 'f'.repeat(40),
      git_custom_nodes: { [one.url]: { hash: wanted, disabled: false }, [off.url]: { hash: off.head, disabled: true } },
      cnr_custom_nodes: { 'some-pack': '1.2.3' },
      file_custom_nodes: [{ filename: 'single.py', disabled: false }],
      pips: { 'numpy==1.26.0': '' },
    }),
  );
  const manager = managerOf(target);
  expect(await manager.differences(snapshot)).toContain('one: it is not here');
  await manager.apply(snapshot.list);
  expect(headOf(pack('one'))).toBe(wanted);
  expect(await manager.differences(snapshot)).toEqual([
    'the engine: the snapshot has commit ffffffffffff, and which one is here is not known',
    'off: it is not here; the snapshot has it disabled',
    'some-pack: version 1.2.3 of the registry is not restored; it is not here',
    'single.py: a single file, whose content the snapshot does not have; it is not here',
    'surplus: it is here and not in the snapshot',
    'packages: the snapshot has 1, and there is no Python environment to compare with',
  ]);
});
