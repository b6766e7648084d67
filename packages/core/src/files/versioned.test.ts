import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@mgpu/core/testing';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { bootFile } from './versioned.ts';

const schema = z.object({ name: z.string() });

describe('a file of this boot', () => {
  const make = (path: string) => bootFile(path, 3, schema);

  test('is there, in a folder of its own, when the call returns', () => {
    using folder = temporaryFolder();
    const dir = join(folder.path, 'run');
    const file = make(join(dir, 'it.json'));
    expect(file.read()).toBeUndefined();
    file.write({ name: 'x' });
    expect(file.read()).toEqual({ name: 'x' });
    expect(statSync(join(dir, 'it.json')).mode & 0o777).toBe(0o600);
    expect(statSync(dir).mode & 0o777).toBe(0o700);
    expect(readdirSync(dir)).toEqual(['it.json']);
    file.remove();
    file.remove();
    expect(file.read()).toBeUndefined();
  });

  test('is created by one of many', () => {
    using folder = temporaryFolder();
    const path = join(folder.path, 'it.json');
    expect(['a', 'b', 'c'].map((name) => make(path).create({ name }))).toEqual([true, false, false]);
    expect(make(path).read()).toEqual({ name: 'a' });
    expect(readdirSync(folder.path)).toEqual(['it.json']);
  });

  test('torn by a crash of the host is as good as none', () => {
    using folder = temporaryFolder();
    const path = join(folder.path, 'it.json');
    writeFileSync(path, '{"v":3,');
    expect(make(path).read()).toBeUndefined();
    expect(existsSync(path)).toBe(false);
  });

  test('of a newer version is refused, and still there', () => {
    using folder = temporaryFolder();
    const path = join(folder.path, 'it.json');
    writeFileSync(path, '{"v":4,"name":"x"}');
    expect(() => make(path).read()).toThrow(expect.objectContaining({ code: 'CORE_FILE_VERSION' }));
    expect(existsSync(path)).toBe(true);
  });

  test('that is a pipe keeps nobody waiting', () => {
    using folder = temporaryFolder();
    const path = join(folder.path, 'it.json');
    execFileSync('mkfifo', [path]);
    expect(make(path).read()).toBeUndefined();
    expect(existsSync(path)).toBe(false);
  });
});
