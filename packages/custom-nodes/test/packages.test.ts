import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readNodesLock, readSnapshot } from '../src/index.ts';
import {
  buildWheels,
  engineIn,
  env,
  git,
  hasUv,
  listing,
  listOf,
  managerOf,
  outcomes,
  Pythons,
  Repository,
  read,
  resultIn,
  stock,
  temporaryFolder,
  torch,
} from './support.ts';

const pythons = new Pythons();
afterAll(() => pythons[Symbol.dispose]());
const installer = (await hasUv()) ? 'uv' : 'pip';

test('a lock gives the same commits, packages and bytes somewhere else, whatever has come out since', async () => {
  const root = temporaryFolder();
  const one = new Repository(join(root, 'one'), { 'requirements.txt': 'middle[fast]; python_version > "3"\n' });
  const list = listOf({ name: 'one', url: one.url });
  const wheels = buildWheels(join(root, 'wheels'), [
    ['middle', '1.0', ['alpha>=1', 'beta; extra == "fast"', 'gamma; extra == "slow"']],
    ['alpha', '1.0'],
    ['beta', '1.0'],
  ]);
  const [here, there, third] = await Promise.all([
    pythons.make(installer, wheels),
    pythons.make(installer, wheels),
    pythons.make(installer, wheels),
  ]);
  const first = engineIn(join(root, 'first'), here);
  await managerOf(first).apply(list);
  expect(managerOf(first).lock()?.packages).toEqual({ alpha: '1.0', beta: '1.0', middle: '1.0' });
  const commit = one.head;
  const unchanged = engineIn(join(root, 'third'), third);
  await managerOf(unchanged).apply(list);
  expect(read(unchanged.state, 'nodes.lock.json')).toBe(read(first.state, 'nodes.lock.json'));

  one.commit({ 'requirements.txt': 'middle\ngamma\n' });
  buildWheels(wheels, [
    ['alpha', '2.0'],
    ['gamma', '1.0'],
  ]);
  const second = engineIn(join(root, 'second'), there);
  mkdirSync(second.state);
  cpSync(join(first.state, 'nodes.lock.json'), join(second.state, 'nodes.lock.json'));
  const strange = await managerOf(second).apply(listOf({ name: 'one', url: one.url }, { name: 'new', url: one.url }), {
    locked: true,
  });
  expect(outcomes(strange)).toEqual({ one: 'done', new: 'failed NODES_NOT_LOCKED' });
  expect(git(join(second.packs, 'one'), 'rev-parse', 'HEAD')).toBe(commit);
  expect((await there.installed()).get('alpha')).toBe('1.0');
  expect(read(second.state, 'nodes.lock.json')).toBe(read(first.state, 'nodes.lock.json'));
  const before = listing(second.packs);
  expect(outcomes(await managerOf(second).apply(list, { locked: true }))).toEqual({ one: 'skipped' });
  expect(listing(second.packs)).toEqual(before);
});

test('a lock that was brought along is followed, and is what is here from then on, byte for byte', async () => {
  const root = temporaryFolder();
  const one = new Repository(join(root, 'one'), { 'requirements.txt': 'alpha\n' });
  const list = listOf({ name: 'one', url: one.url });
  const wheels = buildWheels(join(root, 'wheels'), [['alpha', '1.0']]);
  const [here, there] = await Promise.all([pythons.make(installer, wheels), pythons.make(installer, wheels)]);
  const first = engineIn(join(root, 'first'), here);
  await managerOf(first).apply(list);
  const commit = one.head;
  const brought = join(root, 'brought.json');
  cpSync(join(first.state, 'nodes.lock.json'), brought);

  // Elsewhere both are newer already.
  one.commit({ 'README.md': 'newer' });
  buildWheels(wheels, [['alpha', '2.0']]);
  const second = engineIn(join(root, 'second'), there);
  await managerOf(second).apply(list);
  expect((await there.installed()).get('alpha')).toBe('2.0');
  const report = await managerOf(second).apply(list, { locked: readNodesLock(brought) });
  expect(outcomes(report)).toEqual({ one: 'done' });
  expect(git(join(second.packs, 'one'), 'rev-parse', 'HEAD')).toBe(commit);
  expect((await there.installed()).get('alpha')).toBe('1.0');
  expect(read(second.state, 'nodes.lock.json')).toBe(read(root, 'brought.json'));
  expect(outcomes(await managerOf(second).apply(list, { locked: true }))).toEqual({ one: 'skipped' });
  expect(() => readNodesLock(join(root, 'none.json'))).toThrow(expect.objectContaining({ code: 'NODES_LOCK_MISSING' }));
});

test('a rollback takes back nodes, packages and the lock', async () => {
  const root = temporaryFolder();
  const one = new Repository(join(root, 'one'), { 'requirements.txt': 'alpha<2\n' });
  const two = new Repository(join(root, 'two'), { 'requirements.txt': 'gamma\n' });
  const python = await pythons.make(installer);
  const target = engineIn(join(root, 'engine'), python);
  const manager = managerOf(target);
  await manager.apply(listOf({ name: 'one', url: one.url }));
  const [commit, lock] = [one.head, read(target.state, 'nodes.lock.json')];
  one.commit({ 'requirements.txt': 'alpha>=2\n' });
  const list = listOf({ name: 'one', url: one.url }, { name: 'two', url: two.url });
  const changed = await manager.apply(list);
  expect(changed.packages).toEqual([
    { name: 'alpha', from: '1.0', to: '2.0' },
    { name: 'gamma', to: '1.0' },
  ]);
  expect((await manager.rollback()).packages).toEqual([
    { name: 'alpha', from: '2.0', to: '1.0' },
    { name: 'gamma', from: '1.0' },
  ]);
  const installed = await python.installed();
  expect([installed.get('alpha'), installed.get('gamma')]).toEqual(['1.0', undefined]);
  expect(git(join(target.packs, 'one'), 'rev-parse', 'HEAD')).toBe(commit);
  expect(existsSync(join(target.packs, 'two'))).toBe(false);
  expect(read(target.state, 'nodes.lock.json')).toBe(lock);
});

test('the engine binds the nodes: its own lines, and numpy as it is', async () => {
  const root = temporaryFolder();
  const repository = (name: string, requirements: string) => {
    const { url } = new Repository(join(root, name), { 'requirements.txt': requirements });
    return { name, url };
  };
  const python = await pythons.make(installer);
  const engine = new Repository(join(root, 'engine'), { 'requirements.txt': 'torch\nbeta<2\n' });
  const target = { ...engineIn(engine.dir, python), engineRequirements: [join(engine.dir, 'requirements.txt')] };
  const list = listOf(
    repository('bound', 'beta\n'),
    repository('against', 'beta>=2\n'),
    repository('numpy2', 'numpy>=2\n'),
    repository('deep', 'wants-old-torch\n'),
  );
  const report = await managerOf(target).apply(list);
  expect(outcomes(report)).toEqual({
    bound: 'done',
    against: 'failed NODES_CONFLICT',
    numpy2: 'failed NODES_CONFLICT',
    deep: 'failed NODES_PROTECTED',
  });
  expect(resultIn(report, 'against').error?.details).toMatchObject({ other: 'the engine', package: 'beta' });
  expect(resultIn(report, 'numpy2').error?.details).toMatchObject({ other: 'the engine', package: 'numpy' });
  const installed = await python.installed();
  expect(['beta', 'numpy', 'torch'].map((name) => installed.get(name))).toEqual(['1.0', '1.26.0', torch]);
});

test('what an update needs and cannot have leaves the old commit with what that needs', async () => {
  const root = temporaryFolder();
  const python = await pythons.make(installer);
  const target = engineIn(join(root, 'engine'), python);
  const one = new Repository(join(root, 'one'), { 'requirements.txt': 'alpha<2\n' });
  const list = listOf({ name: 'one', url: one.url });
  const manager = managerOf(target);
  await manager.apply(list);
  const good = one.head;
  one.commit({ 'requirements.txt': 'alpha<2\ntorch<2\n' });
  expect(resultIn(await manager.apply(list), 'one')).toMatchObject({
    commit: good,
    error: { code: 'NODES_PROTECTED' },
  });
  const before = listing(join(root, 'engine'));
  expect(resultIn(await manager.apply(list), 'one')).toMatchObject({ commit: good, isRemembered: true });
  expect(listing(join(root, 'engine'))).toEqual(before);
  expect(manager.lock()).toMatchObject({ nodes: { one: { commit: good } }, packages: { alpha: '1.0' } });
});

test('a script that brings another torch fails, and torch is put back', async () => {
  const root = temporaryFolder();
  const python = await pythons.make('pip');
  const target = engineIn(join(root, 'engine'), python);
  const wheels = buildWheels(join(root, 'wheels'), stock);
  const install = (isBound: boolean) =>
    [
      'import os, subprocess, sys',
      ...(isBound ? [] : ["del os.environ['PIP_CONSTRAINT']"]),
      `command = [sys.executable, '-m', 'pip', 'install', '--no-index', '--find-links', ${JSON.stringify(wheels)}, 'torch==1.13.0']`,
      'sys.exit(subprocess.call(command))',
    ].join('\n');
  const bound = new Repository(join(root, 'bound'), { 'install.py': install(true) });
  const unbound = new Repository(join(root, 'unbound'), { 'install.py': install(false) });
  const list = listOf({ name: 'bound', url: bound.url }, { name: 'unbound', url: unbound.url });
  const report = await managerOf(target, { scripts: 'all' }).apply(list);
  expect(outcomes(report)).toEqual({ bound: 'failed NODES_SCRIPT_FAILED', unbound: 'failed NODES_PROTECTED_CHANGED' });
  expect(resultIn(report, 'unbound').error?.message).toContain('it was put back');
  expect((await python.installed()).get('torch')).toBe(torch);
});

test('the packages of a snapshot are compared with those that are installed', async () => {
  const root = temporaryFolder();
  const target = engineIn(join(root, 'engine'), await pythons.make(installer));
  const pips = {
    'numpy==2.1.0': '',
    [`torch==${torch}`]: '',
    'absent==1.0': '',
    'direct @ git+https://x.invalid/y': '',
  };
  const snapshot = readSnapshot(JSON.stringify({ git_custom_nodes: {}, pips }));
  expect(await managerOf(target).differences(snapshot)).toEqual([
    'package numpy: the snapshot has 2.1.0, here is 1.26.0',
    'package absent: the snapshot has 1.0, here is none',
    'package direct: the snapshot has git+https://x.invalid/y, here is none',
  ]);
});

test("an index that does not answer is nobody's fault: new nodes wait, the others stay", async () => {
  const root = temporaryFolder();
  const python = (await pythons.make('pip')).with({
    env: { ...env, PIP_RETRIES: '1' },
    sources: { index: 'http://127.0.0.1:1/simple', extraIndexes: [], wheels: [], offline: false },
  });
  const target = engineIn(join(root, 'engine'), python);
  const one = new Repository(join(root, 'one'), { 'requirements.txt': 'alpha\n' });
  const two = new Repository(join(root, 'two'));
  const list = listOf({ name: 'one', url: one.url }, { name: 'two', url: two.url });
  const report = await managerOf(target).apply(list);
  expect(outcomes(report)).toEqual({ one: 'failed CORE_PACKAGES_FAILED', two: 'done' });
  expect(resultIn(report, 'one').error?.retryable).toBe(true);
  expect(report.warnings).toEqual([expect.stringContaining('was not looked into')]);
  expect(existsSync(join(target.packs, 'one'))).toBe(false);
  const again = await managerOf({ ...target, python: await pythons.make(installer) }).apply(list);
  expect(outcomes(again)).toEqual({ one: 'done', two: 'skipped' });
});

const metadata = `
import os
def prepare_metadata_for_build_wheel(folder, settings=None):
    os.mkdir(os.path.join(folder, 'unbuildable-1.0.dist-info'))
    with open(os.path.join(folder, 'unbuildable-1.0.dist-info', 'METADATA'), 'w') as file:
        file.write('Metadata-Version: 2.1\\nName: unbuildable\\nVersion: 1.0\\n')
    return 'unbuildable-1.0.dist-info'
`;

test.each([
  ['that cannot be looked into', 'raise SystemExit("no compiler here")\n'],
  ['that cannot be built', `${metadata}def build_wheel(*_): raise SystemExit("no compiler here")\n`],
])('a package %s fails the node that wants it, and no other, and what was installed goes again', async (_, backend) => {
  const root = temporaryFolder();
  const broken = join(root, 'broken');
  mkdirSync(broken);
  const system = "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n";
  writeFileSync(join(broken, 'pyproject.toml'), system);
  writeFileSync(join(broken, 'backend.py'), backend);
  const wheels = buildWheels(join(root, 'wheels'), stock);
  const archive = join(wheels, 'unbuildable-1.0.tar.gz');
  execFileSync('tar', ['-czf', archive, '-C', root, '--transform', 's/broken/unbuildable-1.0/', 'broken']);
  const python = await pythons.make('pip', wheels);
  const manager = managerOf(engineIn(join(root, 'engine'), python));
  const nodes = ['alpha', 'unbuildable', 'beta'].map((name) => ({
    name,
    url: new Repository(join(root, name), { 'requirements.txt': `${name}\n` }).url,
  }));
  const report = await manager.apply(listOf(...nodes));
  expect(outcomes(report)).toEqual({ alpha: 'done', unbuildable: 'failed CORE_PACKAGES_FAILED', beta: 'done' });
  expect(report.packages.map(({ name }) => name)).toEqual(['alpha', 'beta']);
  expect(resultIn(report, 'unbuildable').error?.details).toMatchObject({ lastLines: expect.any(Array) });
  expect(resultIn(await manager.apply(listOf(...nodes)), 'unbuildable').isRemembered).toBe(true);
  await manager.rollback();
  const installed = await python.installed();
  expect(['alpha', 'beta'].filter((name) => installed.has(name))).toEqual([]);
});
