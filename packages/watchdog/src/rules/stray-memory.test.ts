import { expect, test } from 'vitest';
import type { GpuMemorySample, MemoryHolder } from './gpu-memory.ts';
import { strayMemory } from './stray-memory.ts';

const ours: MemoryHolder = {
  pid: 1,
  memoryMiB: 4_000,
  instance: 'comfyui_gpu0',
  process: { command: 'python main.py', owner: 'root' },
};
const foreign: MemoryHolder = { pid: 2, memoryMiB: 9_000, process: { command: 'python train.py', owner: 'alice' } };
const dead: MemoryHolder = { pid: 3, memoryMiB: 9_000, instance: 'comfyui_gpu0' };

const lasting = (more: Partial<GpuMemorySample>): GpuMemorySample[] =>
  [0, 15_000, 30_000].map((at) => ({ at, gpu: 'GPU-aaaa', usedMiB: 9_000, holders: [], isInUse: true, ...more }));

test('memory of our own living processes is as it should be', () => {
  expect(strayMemory(lasting({ holders: [ours] }))).toEqual([]);
  expect(strayMemory(lasting({ holders: undefined }))).toEqual([]);
  expect(strayMemory(lasting({ usedMiB: 300, isInUse: false }))).toEqual([]);
});

test('a foreign holder is named, and left alone', () => {
  expect(strayMemory(lasting({ holders: [ours, foreign] }))).toMatchObject([
    {
      action: 'record',
      severity: 'warning',
      subject: 'GPU-aaaa',
      reason: expect.stringContaining('pid 2, python train.py of alice, 9000 MiB'),
    },
  ]);
});

test('a dead holder is an error after half a minute', () => {
  const history = lasting({ holders: [dead] });
  expect(strayMemory(history.slice(0, 2))).toEqual([]);
  expect(strayMemory(history)).toMatchObject([
    { action: 'record', severity: 'error', evidence: ['pid 3, a process that is gone, 9000 MiB'] },
  ]);
});

test('memory with no holder at all is told where nothing of ours runs', () => {
  for (const holders of [[], undefined])
    expect(strayMemory(lasting({ holders, isInUse: false }))).toMatchObject([
      { severity: 'error', reason: '9000 MiB of GPU-aaaa are held by no process' },
    ]);
});

test('a holder that goes in between starts the time anew', () => {
  const [first, second, third] = lasting({ holders: [dead] });
  if (!first || !second || !third) throw new Error('three samples');
  expect(strayMemory([first, { ...second, holders: [ours] }, third])).toEqual([]);
});
