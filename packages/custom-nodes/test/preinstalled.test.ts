import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { loggerTo } from '@mgpu/core';
import { serviceConformance, testContext } from '@mgpu/core/testing';
import { expect, onTestFinished, test } from 'vitest';
import { PreinstalledNodesService, preinstalledNodes } from '../src/service.ts';

serviceConformance({
  definition: preinstalledNodes,
  config: {},
  context: () => testContext({ kind: 'preinstalled-nodes' }),
  test,
});

function write(path: string, text = ''): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

/** A service whose nodes come from `from`, default that of the root. */
function box(from?: string) {
  const lines: string[] = [];
  const log = loggerTo((level, message) => void lines.push(`${level}: ${message}`));
  const context = testContext({ kind: 'preinstalled-nodes', log });
  const source = from ?? join(context.layout.root, 'shared_custom_nodes');
  const target = join(context.layout.shared, 'custom_nodes');
  const service = new PreinstalledNodesService(from === undefined ? {} : { from }, context);
  return { context, lines, service, source, target };
}

test('packs and single files are moved once, and the folder they were in goes', async () => {
  const { context, lines, service, source, target } = box();
  using _ = context;
  write(join(source, 'pack', '__init__.py'), 'pack');
  write(join(source, 'one.py'), 'one');
  write(join(target, 'mine', '__init__.py'), 'mine');
  symlinkSync('/opt/elsewhere', join(source, 'linked'));
  await service.start();
  expect(service.status.state).toBe('completed');
  expect(readdirSync(target).toSorted()).toEqual(['linked', 'mine', 'one.py', 'pack']);
  expect(readFileSync(join(target, 'pack', '__init__.py'), 'utf8')).toBe('pack');
  expect(readlinkSync(join(target, 'linked'))).toBe('/opt/elsewhere');
  expect(existsSync(source)).toBe(false);
  expect(lines).toEqual([`info: pre-installed nodes: 3 moved to ${target}`]);
  await service.start();
  expect(service.moved).toEqual([]);
});

test('what has a namesake stays where it is, is told, and does not end up inside it', async () => {
  const { context, lines, service, source, target } = box();
  using _ = context;
  write(join(source, 'pack', 'theirs.py'), 'theirs');
  write(join(source, 'other', '__init__.py'));
  write(join(target, 'pack', 'mine.py'), 'mine');
  await service.start();
  expect(service.status.state).toBe('completed');
  expect(readdirSync(join(target, 'pack'))).toEqual(['mine.py']);
  expect(readdirSync(source)).toEqual(['pack']);
  expect(existsSync(join(target, 'other', '__init__.py'))).toBe(true);
  expect(service.moved.map(({ name, status, error }) => [name, error?.code ?? status])).toEqual([
    ['other', 'moved'],
    ['pack', 'NODES_PREINSTALLED_TAKEN'],
  ]);
  expect(lines).toContain(`warn: pre-installed nodes: pack stays in ${source}: ${target} has something of that name`);
});

// Another file system than that of the machine's root.
const memory = '/dev/shm';
test.skipIf(!existsSync(memory))('they come whole from another file system, over what a killed move left', async () => {
  const elsewhere = mkdtempSync(join(memory, 'mgpu-test-'));
  onTestFinished(() => rmSync(elsewhere, { recursive: true, force: true }));
  const { context, service, source, target } = box(elsewhere);
  using _ = context;
  write(join(source, 'pack', 'deep', 'node.py'), 'deep');
  symlinkSync('deep/node.py', join(source, 'pack', 'link.py'));
  write(join(target, '.pack.moving', 'half.py'));
  // Of another one the copy is whole, and not all of the original is removed yet.
  write(join(target, '.other.moved', 'whole.py'), 'whole');
  write(join(source, 'other', 'rest.py'));
  await service.start();
  expect(readdirSync(target)).toEqual(['other', 'pack']);
  expect(readdirSync(join(target, 'other'))).toEqual(['whole.py']);
  expect(readFileSync(join(target, 'pack', 'link.py'), 'utf8')).toBe('deep');
  expect(readlinkSync(join(target, 'pack', 'link.py'))).toBe('deep/node.py');
  expect(existsSync(source)).toBe(false);
});
