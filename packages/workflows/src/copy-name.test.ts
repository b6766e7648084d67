import { expect, test } from 'vitest';
import { copyName } from './copy-name.ts';

const at = Date.UTC(2026, 10, 26, 3, 38, 24, 500);
const tail = '.sync-conflict-20261126-033824500-gpu-box';

test.each([
  ['flow.json', 'gpu-box', `flow${tail}.json`],
  ['a b/flow.v2.json', 'gpu/box', `a b/flow.v2${tail}.json`],
  ['x/no-ending', 'gpu-box', `x/no-ending${tail}`],
  ['.hidden', 'gpu-box', `.hidden${tail}`],
])('%s of %s is put into %s', (path, machine, name) => expect(copyName(path, { machine, at })).toBe(name));

test('a long name stays one that a file may have', () => {
  const name = copyName(`${'ü'.repeat(120)}.json`, { machine: 'gpu-box', at });
  expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255);
  expect(name).toMatch(/^ü+~[0-9a-f]{8}\.sync-conflict-.*\.json$/);
});
