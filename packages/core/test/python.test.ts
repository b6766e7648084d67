import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { findProgram } from '@mgpu/core';
import { PythonEnvironment, type PythonOptions, packageName } from '@mgpu/core/python';
import { temporaryFolder as openTemporaryFolder } from '@mgpu/core/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { temporaryFolder } from './support.ts';

const env = { PATH: process.env.PATH, HOME: '/nonexistent', PYTHONPATH: '/nowhere', PIP_TARGET: '/nowhere' };
const shared = openTemporaryFolder('python-');
const wheels = join(shared.path, 'wheels');
const first = join(shared.path, 'first');
afterAll(() => shared[Symbol.dispose]());

const makeWheels = `
import os, sys, zipfile
os.makedirs(sys.argv[1])
many = [(f'many_{number}', '1.0', '') for number in range(20)]
for name, version, requires in [('alpha', '1.0', ''), ('alpha', '2.0+local', ''), ('beta', '1.0', 'Requires-Dist: alpha<2\\n'), *many]:
    info = f'{name}-{version}.dist-info'
    with zipfile.ZipFile(os.path.join(sys.argv[1], f'{name}-{version}-py3-none-any.whl'), 'w') as wheel:
        wheel.writestr(f'{name}.py', f'version = {version!r}\\n')
        wheel.writestr(f'{info}/METADATA', f'Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n{requires}')
        wheel.writestr(f'{info}/WHEEL', 'Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
        wheel.writestr(f'{info}/RECORD', '')
`;

const optionsOf = (installer: 'pip' | 'uv'): PythonOptions => ({
  env,
  installer,
  sources: { extraIndexes: [], wheels: [wheels], offline: true },
  cache: join(shared.path, 'cache'),
});

beforeAll(async () => {
  execFileSync('python3', ['-c', makeWheels, wheels]);
  await PythonEnvironment.create(first, optionsOf('pip'));
}, 60_000);

const installers = (await findProgram(['uv'], env)) ? (['pip', 'uv'] as const) : (['pip'] as const);

describe.each(installers)('with %s', (installer) => {
  const copy = () => PythonEnvironment.copy(first, join(temporaryFolder(), 'python'), optionsOf(installer));

  test('packages are planned, installed, changed and removed', async () => {
    const python = await copy();
    const packages = ['alpha'];
    expect(await python.plan({ packages })).toEqual([{ name: 'alpha', to: '2.0+local' }]);
    expect((await python.installed()).has('alpha')).toBe(false);
    await python.install({ packages });
    expect(await python.plan({ packages })).toEqual([]);
    expect(await python.plan({ packages: ['beta'] })).toEqual([
      { name: 'alpha', from: '2.0+local', to: '1.0' },
      { name: 'beta', to: '1.0' },
    ]);
    await python.install({ packages: ['beta'] }, { dependencies: false });
    expect((await python.installed()).get('alpha')).toBe('2.0+local');
    await python.uninstall(['alpha', 'beta']);
    expect((await python.installed()).has('alpha')).toBe(false);
  });

  test('many are installed and compiled, and one that is not to be had is told', async () => {
    const python = await copy();
    const names = Array.from({ length: 20 }, (_, number) => `many-${number}`);
    await python.install({ packages: names }, { dependencies: false });
    const installed = await python.installed();
    expect(names.filter((name) => !installed.has(name))).toEqual([]);
    const cached =
      'import importlib.util as u, os; print(os.path.exists(u.cache_from_source(u.find_spec("many_7").origin)))';
    expect((await python.run(['-c', cached])).stdout.trim()).toBe('True');
    await python.uninstall(names);
    expect((await python.installed()).has('many-7')).toBe(false);
    await expect(
      python.install({ packages: [...names, 'nothing-of-that-name'] }, { dependencies: false }),
    ).rejects.toMatchObject({ code: 'CORE_REQUIREMENTS_CONFLICT', message: expect.stringContaining('nothing-of') });
  });

  test('constraints bind, and a conflict is told in words', async () => {
    const python = await copy();
    const folder = temporaryFolder();
    const [constraints, file] = [join(folder, 'constraints.txt'), join(folder, 'requirements.txt')];
    writeFileSync(constraints, 'alpha==2.0+local\n');
    writeFileSync(file, 'beta\n');
    await expect(python.plan({ files: [file], constraints: [constraints] })).rejects.toMatchObject({
      code: 'CORE_REQUIREMENTS_CONFLICT',
      message: expect.stringMatching(/alpha/),
    });
    await expect(python.plan({ packages: ['alpha<1'] })).rejects.toMatchObject({ code: 'CORE_REQUIREMENTS_CONFLICT' });
    await expect(python.install({ packages: ['nothing-of-that-name'] })).rejects.toMatchObject({
      code: 'CORE_REQUIREMENTS_CONFLICT',
    });
  });
});

test.each(installers)('with %s an index that does not answer is no conflict', async (installer) => {
  const sources = { index: 'http://127.0.0.1:1/simple', extraIndexes: [], wheels: [], offline: false };
  const impatient = { ...env, PIP_RETRIES: '1', UV_HTTP_RETRIES: '0' };
  const python = new PythonEnvironment(first, { ...optionsOf(installer), env: impatient, sources });
  const failure = { code: 'CORE_PACKAGES_FAILED', retryable: true };
  await expect(python.plan({ packages: ['alpha'] })).rejects.toMatchObject(failure);
});

test('the password of an index is on no command line', async () => {
  const dir = join(temporaryFolder(), 'python');
  mkdirSync(join(dir, 'bin'), { recursive: true });
  writeFileSync(join(dir, 'bin', 'python'), '#!/bin/sh\necho "words: $*"\necho "index: $PIP_INDEX_URL"\nexit 1\n', {
    mode: 0o755,
  });
  const said: string[] = [];
  const sources = { index: 'https://me:secret@host.test/simple', extraIndexes: [], wheels: [], offline: false };
  const onLine = (line: string) => said.push(line);
  const python = new PythonEnvironment(dir, { ...optionsOf('pip'), sources, onLine });
  await expect(python.install({ packages: ['alpha'] })).rejects.toMatchObject({ code: 'CORE_PACKAGES_FAILED' });
  expect(said).toEqual([expect.stringMatching(/^words: -m pip install .*alpha$/), `index: ${sources.index}`]);
  expect(said[0]).not.toContain('secret');
});

test('as many pips share many packages as there are processors', async () => {
  const dir = join(temporaryFolder(), 'python');
  mkdirSync(join(dir, 'bin'), { recursive: true });
  writeFileSync(join(dir, 'bin', 'python'), '#!/bin/sh\necho "$*"\n', { mode: 0o755 });
  const said: string[] = [];
  const python = new PythonEnvironment(dir, { ...optionsOf('pip'), onLine: (line) => said.push(line) });
  const packages = Array.from({ length: 100 }, (_, number) => `p${number}==1`);
  await python.install({ packages }, { dependencies: false });
  expect(said).toHaveLength(Math.min(availableParallelism(), 12));
  const taken = said.flatMap((words) => words.match(/p\d+==1/g) ?? []);
  expect(taken.toSorted()).toEqual(packages.toSorted());
  // What needs something of each other's is left to one.
  await python.install({ packages });
  await python.install({ packages }, { dependencies: false, isolated: false });
  expect(said).toHaveLength(Math.min(availableParallelism(), 12) + 2);
});

test('a copy is changed without the other', async () => {
  const one = await PythonEnvironment.copy(first, join(temporaryFolder(), 'one'), optionsOf('pip'));
  await one.install({ packages: ['alpha==1.0'] });
  const two = await PythonEnvironment.copy(one.dir, join(temporaryFolder(), 'two'), optionsOf('pip'));
  await two.install({ packages: ['alpha==2.0+local'] });
  const versions = await Promise.all(
    [one, two].map(async (each) => (await each.run(['-c', 'import alpha; print(alpha.version)'])).stdout.trim()),
  );
  expect(versions).toEqual(['1.0', '2.0+local']);
  expect(readFileSync(join(two.dir, 'bin', 'pip'), 'utf8')).toContain(two.dir);
});

test('what it runs is bound, and ends with its own signal', async () => {
  const python = new PythonEnvironment(first, optionsOf('pip'));
  const print = 'import os, sys; print(os.environ["PIP_CONSTRAINT"], os.environ.get("PYTHONPATH"), sys.prefix)';
  expect((await python.run(['-c', print], { constraints: '/some/file' })).stdout.trim()).toBe(
    `/some/file None ${first}`,
  );
  const off = new AbortController();
  const running = python
    .with({ onLine: () => off.abort() })
    .run(['-c', 'print("up"); import time; time.sleep(60)'], { signal: off.signal });
  expect(await running).toMatchObject({ ok: false, problem: 'it was called off' });
});

test('an interpreter that is not there is told with the cure', async () => {
  const made = PythonEnvironment.create(join(temporaryFolder(), 'x'), {
    ...optionsOf('pip'),
    python: 'python-of-nobody',
  });
  await expect(made).rejects.toMatchObject({
    code: 'CORE_PYTHON_MISSING',
    hint: expect.stringContaining('install Python'),
  });
});

test('names are compared as indexes do it', () => {
  expect(packageName('Foo__Bar.-baz')).toBe('foo-bar-baz');
});
