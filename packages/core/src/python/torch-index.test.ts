import { expect, test } from 'vitest';
import { torchIndexFor, torchIndexIn } from './torch-index.ts';

const head = (words: string) => `| NVIDIA-SMI 570.86   Driver Version: 570.86   ${words}   |`;

test.each([
  ['CUDA Version: 12.8', [13.0, 12.8, 12.1], 'https://download.pytorch.org/whl/cu128'],
  ['CUDA UMD Version: 13.1', [12.1, 13.0], 'https://download.pytorch.org/whl/cu130'],
  ['CUDA Version: 12.8', [11.8, 12.1], 'https://download.pytorch.org/whl/cu121'],
  ['CUDA Version: 11.4', [11.8, 12.1], undefined],
  ['CUDA Version: N/A', [12.1], undefined],
])('a driver that says "%s" and builds for %j: %s', (words, builds, index) => {
  expect(torchIndexIn(head(words), builds)).toBe(index);
});

test('the CPU has an index of its own; a driver that cannot be asked is told', async () => {
  expect(await torchIndexFor('cpu', { env: {} })).toBe('https://download.pytorch.org/whl/cpu');
  await expect(torchIndexFor('nvidia', { env: { PATH: '/nowhere' } })).rejects.toMatchObject({
    code: 'CORE_TORCH_INDEX',
    details: { problem: 'nvidia-smi is not in PATH' },
  });
});
