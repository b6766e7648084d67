import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { BootTrace, keepBoot, latestBoot, linkTree, systemClock, versionedFile, writeFileAtomically } from '@mgpu/core';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { broken, failureOf, temporaryFolder } from './support.ts';

describe('an atomic write', () => {
  test('leaves the file, nothing beside it, for the owner alone', async () => {
    const dir = temporaryFolder();
    await writeFileAtomically(join(dir, 'a'), 'one');
    await writeFileAtomically(join(dir, 'a'), new Uint8Array([116, 119, 111]));
    expect(readFileSync(join(dir, 'a'), 'utf8')).toBe('two');
    expect(statSync(join(dir, 'a')).mode & 0o777).toBe(0o600);
    expect(readdirSync(dir)).toEqual(['a']);
  });

  test('never shows half a file to a reader, however many write at once', async () => {
    const path = join(temporaryFolder(), 'a');
    const texts = Array.from({ length: 20 }, (_, n) => String(n % 10).repeat(100_000));
    await writeFileAtomically(path, texts[0] ?? '');
    const writes = Promise.all(texts.map((text) => writeFileAtomically(path, text)));
    let done = false;
    void writes.finally(() => {
      done = true;
    });
    while (!done) {
      expect(texts).toContain(readFileSync(path, 'utf8'));
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
});

const schema = z.object({ name: z.string() });

describe('a versioned file', () => {
  const fromOld = z.object({ title: z.string() }).transform(({ title }) => ({ name: title }));

  test('of the version before is read by the schema of that', async () => {
    const path = join(temporaryFolder(), 'it.json');
    const file = versionedFile(path, 3, schema, { former: fromOld });
    writeFileSync(path, '{"v":2,"title":"x"}');
    expect(file.read()).toEqual({ name: 'x' });
    writeFileSync(path, '{"v":1,"title":"x"}');
    expect(await failureOf(read(file))).toMatchObject({ code: 'CORE_FILE_INVALID' });
  });

  const make = (path: string) => versionedFile(path, 3, schema);
  const read = async (file: { read(): unknown }) => file.read();

  test('is read as it was written, and undefined before', async () => {
    const path = join(temporaryFolder(), 'it.json');
    expect(make(path).read()).toBeUndefined();
    await make(path).write({ name: 'x' });
    expect(make(path).read()).toEqual({ name: 'x' });
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ v: 3, name: 'x' });
  });

  test('of a newer version is refused, and still there', async () => {
    const path = join(temporaryFolder(), 'it.json');
    writeFileSync(path, '{"v":4,"name":"x"}');
    expect(await failureOf(read(make(path)))).toMatchObject({
      code: 'CORE_FILE_VERSION',
      details: { path, version: 4, supported: 3 },
    });
    expect(existsSync(path)).toBe(true);
  });

  test.each([
    ['no JSON', '{"v":3,', 'not JSON'],
    ['nothing', '', 'not JSON'],
    ['another document', '{"v":3,"name":7}', 'name: Invalid input'],
    ['no document', 'null', 'no version'],
    ['without a version', '{"name":"x"}', 'no version'],
    ['of an older version', '{"v":2,"name":"x"}', 'version 2 is not read any more'],
    ['of version 0', '{"v":0,"name":"x"}', 'version 0'],
    ['of half a version', '{"v":1.5,"name":"x"}', 'version 1.5'],
    ['with a version that is no number', '{"v":"9","name":"x"}', 'no version'],
  ])('with %s is refused with the problem', async (_, text, problem) => {
    const path = join(temporaryFolder(), 'it.json');
    writeFileSync(path, text);
    const error = await failureOf(read(make(path)));
    expect(error).toMatchObject({ code: 'CORE_FILE_INVALID', details: { path } });
    expect(error.message).toContain(problem);
  });
});

test('a boot trace is kept below the state folder, which it makes', async () => {
  const dir = temporaryFolder();
  const trace = new BootTrace({ daemonRun: 'abc', clock: systemClock });
  await trace.step('environment', 'environment', async () => {});
  const path = await keepBoot(join(dir, 'state'), trace.report());
  expect(path).toBe(join(dir, 'state', 'boots', 'abc.json'));
  expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ v: 1, daemonRun: 'abc', outcome: 'ok' });
});

test('the latest boot that was kept can be read, as far as it is one', async () => {
  const state = join(temporaryFolder(), 'state');
  expect(await latestBoot(state)).toBeUndefined();
  for (const [daemonRun, at] of [
    ['new', 2_000],
    ['old', 1_000],
  ] as const) {
    const trace = new BootTrace({ daemonRun, clock: systemClock });
    const sick = trace.step('engines', 'engine:start', () => Promise.reject(broken('sick')), { critical: false });
    await expect(sick).rejects.toThrow('sick');
    const path = await keepBoot(state, trace.report());
    utimesSync(path, at, at);
  }
  const boot = await latestBoot(state);
  expect(boot).toMatchObject({ daemonRun: 'new', outcome: 'degraded', phases: [{ name: 'engines' }] });
  expect(boot?.phases[0]?.nodes[0]).toMatchObject({ outcome: 'failed', error: { message: 'sick' } });
  writeFileSync(join(state, 'boots', 'torn.json'), '{"v":1,"daemonRun":"torn"}');
  expect(await failureOf(latestBoot(state))).toMatchObject({ code: 'CORE_FILE_INVALID' });
});

describe('a linked copy of a tree', () => {
  test('has the same files, in folders that can be written to', async () => {
    const root = temporaryFolder();
    const from = join(root, 'from');
    mkdirSync(join(from, 'kept', 'below'), { recursive: true });
    writeFileSync(join(from, 'kept', 'below', 'file'), 'x', { mode: 0o444 });
    chmodSync(join(from, 'kept'), 0o555);
    await linkTree(from, join(root, 'to')).finally(() => chmodSync(join(from, 'kept'), 0o755));
    expect(statSync(join(root, 'to/kept')).mode & 0o777).toBe(0o755);
    const [copy, original] = ['to', 'from'].map((tree) => statSync(join(root, tree, 'kept/below/file')));
    expect(copy).toMatchObject({ ino: original?.ino, mode: original?.mode });
  });

  test('does without what goes away meanwhile', async () => {
    const root = temporaryFolder();
    const from = join(root, 'from');
    mkdirSync(join(from, 'folder', 'below'), { recursive: true });
    for (const name of ['first', 'second', 'folder/third']) writeFileSync(join(from, name), name);
    await linkTree(from, join(root, 'to'), {
      links: (path) => {
        if (path === 'first') rmSync(join(from, path));
        if (path === 'folder/third') rmSync(join(from, 'folder/below'), { recursive: true });
        return true;
      },
    });
    expect(readdirSync(join(root, 'to'))).toEqual(['folder', 'second']);
    expect(readdirSync(join(root, 'to', 'folder'))).toEqual(['third']);
    await expect(linkTree(join(root, 'none'), join(root, 'other'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
