import { expect, test } from 'vitest';
import { driverCudaIn, torchFinding } from './torch-finding.ts';

test.each([
  ['2.7.0+cu128', '13.0', 'ok'],
  ['2.7.0+cu128', '12.8', 'ok'],
  ['2.7.0+cu128', '12.4', 'warning'],
  ['2.9.0+cu130', '12.8', 'error'],
  ['2.4.0+cu118', '12.0', 'ok'],
  ['2.7.0+cpu', '12.8', undefined],
  ['2.7.0', '12.8', undefined],
  ['2.7.0+cu128', undefined, undefined],
])('torch %s on a driver that runs CUDA %s is %s', (torch, driver, level) => {
  expect(torchFinding(torch, driver)?.level).toBe(level);
});

test('what the driver runs is in the head of its table, by both names', () => {
  expect(driverCudaIn('| NVIDIA-SMI 550.54  Driver Version: 550.54  CUDA Version: 12.4 |')).toBe('12.4');
  expect(driverCudaIn('| NVIDIA-SMI 590.1  KMD Version: 590.1  CUDA UMD Version: 13.1 |')).toBe('13.1');
  expect(driverCudaIn('No devices were found')).toBeUndefined();
});
