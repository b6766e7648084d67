import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { definedErrors } from '@mgpu/core';
import { leasePorts } from '@mgpu/core/testing';
import { expect, onTestFinished, test } from 'vitest';

const readme = readFileSync(join(import.meta.dirname, '..', 'README.md'), 'utf8');

test('the example in the README runs as it stands, and ends', async () => {
  using ports = await leasePorts(1);
  const [, example = ''] = /```ts\n(.*?)```/s.exec(readme) ?? [];
  // Beside the tests, where the package is found by its name; only the port differs.
  const file = join(import.meta.dirname, 'fixtures', `readme-${process.pid}.ts`);
  onTestFinished(() => rmSync(file, { force: true }));
  writeFileSync(file, example.replaceAll('8000', String(ports.first)));
  const { stdout, stderr, status } = spawnSync(process.execPath, [file], { encoding: 'utf8', timeout: 20_000 });
  expect(stderr).toBe('');
  expect(stdout).toMatch(/^running \d+\n$/);
  expect(status).toBe(0);
});

test('the README names every error of the package, and no other', () => {
  const named = new Set(readme.match(/\bCORE_[A-Z_]+\b/g));
  named.delete('CORE_UNEXPECTED');
  const codes = definedErrors().map(({ code }) => code);
  expect([...named].toSorted()).toEqual(codes.filter((code) => code.startsWith('CORE_')).toSorted());
});
