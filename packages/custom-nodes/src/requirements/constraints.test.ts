import { expect, test } from 'vitest';
import { constraintsOf, protectedChanges } from './constraints.ts';

const installed = new Map([
  ['torch', '2.8.0+cu128'],
  ['nvidia-cublas-cu12', '12.8.4.1'],
  ['numpy', '1.26.4'],
  ['pillow', '10.0'],
]);

test('what the engine was built with is exact, numpy keeps its major version, and the engine has its say', () => {
  const engine =
    'torch\ntorch>=2\nPillow>=9 # pictures\n--extra-index-url https://x.invalid\nav[fast]>=14; python_version > "3"\n';
  expect(constraintsOf(installed, [engine]).text.split('\n')).toEqual([
    'av>=14 ; python_version > "3"',
    'numpy==1.*',
    'nvidia-cublas-cu12==12.8.4.1',
    'pillow>=9',
    'torch==2.8.0+cu128',
    '',
  ]);
});

test('a lock adds its versions', () => {
  expect(constraintsOf(new Map(), [], { pillow: '10.0' }).text).toBe('pillow==10.0\n');
});

test('changes of protected packages are told', () => {
  const after = new Map([
    ['torch', '2.9.0'],
    ['numpy', '2.0'],
  ]);
  expect(protectedChanges(installed, installed)).toEqual([]);
  expect(protectedChanges(installed, after)).toEqual([
    'torch 2.8.0+cu128 → 2.9.0',
    'nvidia-cublas-cu12 12.8.4.1 → removed',
  ]);
});
