import { describe, expect, test } from 'vitest';
import type { GpuMemorySample, MemoryHolder } from './gpu-memory.ts';
import { vramHeld } from './vram-held.ts';

const rule = vramHeld({ instance: 'engine_gpu0', toleratedMiB: 256 });

const alive = (command: string) => ({ process: { command, owner: 'alice' } });
const neighbour: MemoryHolder = { pid: 1, memoryMiB: 4_000, instance: 'other_gpu0', ...alive('node other') };
const foreign: MemoryHolder = { pid: 2, memoryMiB: 9_000, ...alive('python train.py') };
const dead: MemoryHolder = { pid: 3, memoryMiB: 20_000, instance: 'engine_gpu0' };

const sample = (usedMiB: number, holders?: readonly MemoryHolder[], isInUse = false): GpuMemorySample => {
  return { at: 0, gpu: 'GPU-aaaa', usedMiB, holders, isInUse };
};

const free = sample(300, []);

test.each([
  ['is free', [free, sample(300, [])]],
  ['is that of our own', [sample(300, []), sample(4_300, [neighbour], true)]],
  ['was held when the run began', [sample(9_300, [foreign]), sample(9_300, [foreign])]],
  ['is less than what is tolerated', [free, sample(500, [{ ...dead, memoryMiB: 200 }])]],
  ['is taken by a few MiB more that nobody is named for', [free, sample(556, [])]],
  ['was more before', [sample(9_000, []), sample(300, [])]],
  ['is not told', [free, { ...free, usedMiB: undefined }]],
  ['cannot be compared: nobody is named any more', [sample(9_300, [foreign]), sample(9_300)]],
  ['may be that of an engine beside it', [sample(300), sample(4_300, undefined, true)]],
  [
    'cannot be split, as one does not tell what it has',
    [free, sample(9_300, [{ ...neighbour, memoryMiB: undefined }])],
  ],
  ['was not looked at before', [free]],
  ['may have been theirs before: who had it was not told', [sample(9_300), sample(9_300, [foreign])]],
  ['of nobody was hidden behind what one of ours took meanwhile', [sample(2_400, [neighbour], true), sample(700, [])]],
])('nothing is to be waited for where the memory %s', (_, history) => {
  expect(rule(history)).toEqual([]);
});

describe('it waits for memory that was free before', () => {
  test('and is held by its dead process', () => {
    expect(rule([free, sample(20_300, [dead])])).toEqual([
      {
        rule: 'vram-held',
        scope: 'process',
        subject: 'engine_gpu0',
        severity: 'error',
        action: 'record',
        reason: 'memory of its GPU that was free before is held by pid 3, a process that is gone, 20000 MiB',
        hint: 'reset the GPU, or reboot, if it does not free itself; to start it all the same, remove its file restart_enabled and make it again',
        evidence: ['pid 3, a process that is gone, 20000 MiB'],
      },
    ]);
  });

  test('and is held by somebody else, beside one who was there', () => {
    const former = { ...foreign, pid: 4 };
    expect(rule([sample(9_300, [former]), sample(18_300, [former, foreign])])).toMatchObject([
      {
        reason: expect.stringMatching(/is held by pid 2, python train\.py of alice, 9000 MiB$/),
        hint: expect.stringMatching(/^stop that process; to start it all the same, /),
      },
    ]);
  });

  test('and is held by one who had little then', () => {
    const little = { ...foreign, memoryMiB: 200 };
    expect(rule([sample(500, [little]), sample(9_300, [foreign])])).toMatchObject([
      { reason: expect.stringMatching(/is held by pid 2, python train\.py of alice, 9000 MiB$/) },
    ]);
  });

  test('and is held by one that does not tell how much it has', () => {
    expect(rule([free, sample(300, [{ ...foreign, memoryMiB: undefined }])])).toMatchObject([
      { reason: expect.stringContaining('unknown MiB') },
    ]);
  });

  test('and is held by many who have a little each', () => {
    const many = [11, 12, 13].map((pid) => ({ ...foreign, pid, memoryMiB: 100 }));
    expect(rule([free, sample(600, many)])).toMatchObject([{ reason: expect.stringMatching(/100 MiB and 2 more$/) }]);
  });

  test.each([
    ['', [] as const, [neighbour] as const],
    [', in a container that sees no processes', undefined, undefined],
  ])('and is held by nobody who is named%s', (_, before, now) => {
    const ownMiB = now ? 4_000 : 0;
    expect(rule([sample(300, before), sample(9_300 + ownMiB, now)])).toMatchObject([
      {
        reason: '9000 MiB of its GPU that were free before are held by no process that nvidia-smi names',
        hint: expect.stringMatching(/^reset the GPU/),
      },
    ]);
  });
});
