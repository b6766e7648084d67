import { mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { silentLogger } from '@mgpu/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { linkWorkflows } from './link-workflows.ts';

let dir: string;
let link: string;
let shared: string;
let warnings: string[];
const log = { ...silentLogger, warn: (message: string) => void warnings.push(message) };

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mgpu-link-'));
  [link, shared, warnings] = [join(dir, 'user', 'default', 'workflows'), join(dir, 'shared'), []];
  await mkdir(shared);
});
afterEach(() => rm(dir, { recursive: true }));

test('the link is made, in place of an empty folder too, and stays', async () => {
  await mkdir(link, { recursive: true });
  for (let start = 0; start < 2; start++) await linkWorkflows(link, shared, log);
  expect(await readlink(link)).toBe(shared);
  expect(await readdir(dirname(link))).toEqual(['workflows']);
  expect(warnings).toEqual([]);
});

test('a folder with workflows of its own is left alone', async () => {
  await mkdir(link, { recursive: true });
  await writeFile(join(link, 'precious.json'), '{}');
  await linkWorkflows(link, shared, log);
  expect(await readFile(join(link, 'precious.json'), 'utf8')).toBe('{}');
  expect(warnings).toEqual([expect.stringContaining('holds workflows of its own')]);
});

test('a link to another folder is left alone, one that leads nowhere is replaced', async () => {
  const own = join(dir, 'own');
  await mkdir(own);
  await mkdir(dirname(link), { recursive: true });
  await symlink(own, link);
  await linkWorkflows(link, shared, log);
  expect(await readlink(link)).toBe(own);
  expect(warnings).toHaveLength(1);
  await rm(own, { recursive: true });
  await linkWorkflows(link, shared, log);
  expect(await readlink(link)).toBe(shared);
});
