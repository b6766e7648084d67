import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { layoutOf, silentLogger } from '@mgpu/core';
import { temporaryFolder } from '@mgpu/core/testing';
import { expect, onTestFinished, test } from 'vitest';
import { RestartFiles } from '../src/restart-files.ts';

const instance = 'engine_gpu0';

function machine() {
  const { path, [Symbol.dispose]: remove } = temporaryFolder();
  const layout = layoutOf(path);
  const changes: boolean[] = [];
  const files = new RestartFiles({
    layout,
    log: silentLogger,
    onChange: (_, isAllowed) => void changes.push(isAllowed),
  });
  onTestFinished(() => {
    files[Symbol.dispose]();
    remove();
  });
  return { layout, files, changes };
}

test.each(['take', 'arm'] as const)('that restart_enabled cannot be made (%s) forbids nothing', (ask) => {
  const { layout, files, changes } = machine();
  const elsewhere = join(layout.root, 'elsewhere', 'flag');
  mkdirSync(layout.instance(instance), { recursive: true });
  symlinkSync(elsewhere, files.pathOf(instance)); // into a folder that is not there
  files[ask](instance);
  files.look(instance);
  expect(files.allows(instance)).toBe(true);

  mkdirSync(dirname(elsewhere));
  files.look(instance);
  expect(existsSync(files.pathOf(instance))).toBe(true);
  expect(changes).toEqual([]);
  rmSync(files.pathOf(instance));
  files.look(instance);
  expect(files.allows(instance)).toBe(false);
  expect(changes).toEqual([false]);
});

test('a removed restart_enabled is heeded though the mark of its making was cut short', () => {
  const { layout, files } = machine();
  mkdirSync(layout.instance(instance), { recursive: true });
  mkdirSync(layout.run, { recursive: true });
  writeFileSync(join(layout.run, `${instance}.armed`), '');
  files.take(instance);
  expect(files.allows(instance)).toBe(false);
});

test('a restart_enabled that was removed and made again between two looks was touched', () => {
  const { files, changes } = machine();
  files.arm(instance);
  files.look(instance);
  expect(changes).toEqual([]);
  rmSync(files.pathOf(instance));
  writeFileSync(files.pathOf(instance), '');
  files.look(instance);
  expect(changes).toEqual([true]);
});
