import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readNodeList } from '../src/index.ts';
import {
  engineIn,
  git,
  hasUv,
  listing,
  managerOf,
  outcomes,
  Pythons,
  privateServer,
  Repository,
  read,
  resultIn,
  temporaryFolder,
  torch,
} from './support.ts';

const pythons = new Pythons();
afterAll(() => pythons[Symbol.dispose]());

const twelveNodes = async (installer: 'pip' | 'uv') => {
  const root = temporaryFolder();
  const python = await pythons.make(installer);
  const repository = (name: string, files?: Record<string, string>) =>
    new Repository(join(root, 'repositories', name), files);

  const branchy = repository('branchy', { 'requirements.txt': 'alpha>=2\nmiddle\n' });
  git(branchy.dir, 'checkout', '--quiet', '-b', 'dev');
  const dev = branchy.commit({ 'dev.py': '' });
  git(branchy.dir, 'checkout', '--quiet', 'main');
  const pinned = repository('pinned', { 'old.py': '' });
  const old = pinned.head;
  pinned.commit({ 'new.py': '' });
  const inner = repository('inner', { 'inner.py': '' });
  const outer = repository('outer');
  git(outer.dir, 'submodule', '--quiet', 'add', inner.url, 'vendor/inner');
  git(outer.dir, 'commit', '--quiet', '--message', 'submodule');
  const conflicting = repository('conflicting', { 'requirements.txt': '# old\nalpha<2\n' });
  const torchy = repository('torchy', {
    'requirements.txt': '--extra-index-url https://elsewhere.invalid/whl\ntorch==1.13.0\n',
  });
  const failing = repository('failing', {
    'requirements.txt': 'beta\n',
    'install.py': 'import sys\nprint("no compiler")\nsys.exit(3)\n',
  });
  const dirty = repository('dirty', { 'node.py': 'one\n' });
  const stray = repository('stray', { 'requirements.txt': 'gamma\n' });

  const target = engineIn(join(root, 'engine'), python);
  git(target.packs, 'clone', '--quiet', dirty.url, 'dirty');
  writeFileSync(join(target.packs, 'dirty', 'node.py'), 'edited\n');
  dirty.commit({ 'node.py': 'two\n' });

  const list = readNodeList(
    JSON.stringify({
      custom_nodes: [
        {
          name: 'branchy',
          url: branchy.url,
          branch: 'dev',
          requirements: true,
          env: { TOKEN: 'x-${NODE_TOKEN}', EMPTY: '${NOT_SET}' },
        },
        { name: 'pinned', url: pinned.url, commit: old, requirements: true },
        { name: 'outer', url: outer.url, recursive: true },
        { name: 'missing', url: join(root, 'repositories', 'nowhere') },
        { name: 'conflicting', url: conflicting.url, install_order: 1 },
        { name: 'torchy', url: torchy.url },
        { name: 'failing', url: failing.url, install_script: true },
        { name: 'dirty', url: dirty.url },
        { name: 'private', url: await privateServer() },
        { name: '../evil', url: stray.url },
        { name: 'option', url: '--upload-pack=touch${IFS}hacked' },
        { name: 'stray', url: `git clone ${stray.url}`, colour: 'red' },
      ],
    }),
  );
  expect(list.warnings).toEqual([
    expect.stringContaining('custom_nodes.11.colour: unknown key'),
    expect.stringContaining('begins with "git clone"'),
  ]);
  const expected = {
    branchy: 'done',
    pinned: 'done',
    outer: 'done',
    missing: 'failed CORE_GIT_REPOSITORY',
    conflicting: 'failed NODES_CONFLICT',
    torchy: 'failed NODES_PROTECTED',
    failing: 'failed NODES_SCRIPT_FAILED',
    dirty: 'failed NODES_EDITED',
    private: 'failed CORE_GIT_REPOSITORY',
    '../evil': 'failed NODES_ENTRY_INVALID',
    option: 'failed CORE_GIT_URL',
    stray: 'done',
  };
  const manager = managerOf(target, { env: { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', NODE_TOKEN: "a'b" } });
  const first = await manager.apply(list);
  expect(outcomes(first)).toEqual(expected);
  expect(first).toMatchObject({
    outcome: 'partly failed',
    summary: expect.stringContaining('12 nodes: 4 done, 8 failed'),
  });
  expect(resultIn(first, 'conflicting').error?.details).toMatchObject({ other: 'branchy', package: 'alpha' });
  expect(resultIn(first, 'torchy').error?.details).toMatchObject({
    package: 'torch',
    installed: torch,
    wanted: 'torch==1.13.0',
  });
  expect(resultIn(first, 'failing').error?.message).toContain('no compiler');
  expect(resultIn(first, 'dirty').error?.message).toContain('node.py');
  expect(resultIn(first, 'private').error?.message).toContain('refuses us');
  expect(readdirSync(target.packs).sort()).toEqual(['branchy', 'dirty', 'outer', 'pinned', 'stray']);
  expect(git(join(target.packs, 'branchy'), 'rev-parse', 'HEAD')).toBe(dev);
  expect(git(join(target.packs, 'pinned'), 'rev-parse', 'HEAD')).toBe(old);
  expect(existsSync(join(target.packs, 'outer', 'vendor/inner/inner.py'))).toBe(true);
  expect(read(target.packs, 'dirty', 'node.py')).toBe('edited\n');
  expect(read(target.packs, 'branchy', '.env')).toBe("TOKEN='x-a\\'b'\nEMPTY=\n");
  expect(statSync(join(target.packs, 'branchy', '.env')).mode & 0o777).toBe(0o600);
  expect(resultIn(first, 'branchy').notes).toEqual([expect.stringContaining('NOT_SET')]);
  const installed = await python.installed();
  expect(['torch', 'alpha', 'middle', 'gamma'].map((name) => installed.get(name))).toEqual([
    torch,
    '2.0',
    '1.0',
    '1.0',
  ]);
  expect(manager.lock()?.packages).toEqual({ alpha: '2.0', gamma: '1.0', middle: '1.0' });
  expect(existsSync(join(target.packs, 'hacked'))).toBe(false);

  const before = listing(join(root, 'engine'));
  const second = await manager.apply(list);
  expect(outcomes(second)).toEqual({
    ...expected,
    branchy: 'skipped',
    pinned: 'skipped',
    outer: 'skipped',
    stray: 'skipped',
  });
  expect(listing(join(root, 'engine'))).toEqual(before);
  expect(second.nodes.filter(({ isRemembered }) => isRemembered).map(({ name }) => name)).toEqual([
    'conflicting',
    'torchy',
    'failing',
  ]);
  expect(await manager.plan(list)).toMatchObject({ isSettled: true, packages: [] });
};

test('twelve nodes of every kind, with pip', () => twelveNodes('pip'));
test.skipIf(!(await hasUv()))('twelve nodes of every kind, with uv', () => twelveNodes('uv'));
