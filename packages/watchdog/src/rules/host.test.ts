import { describe, expect, test } from 'vitest';
import type { TreeSample } from '../sources/process-trees.ts';
import { diskSpace } from './disk-space.ts';
import { hostMemory } from './host-memory.ts';
import { logVolume } from './log-volume.ts';
import { hostFiles, processFiles } from './open-files.ts';
import { stuckProcess } from './stuck-process.ts';
import { treeMemory } from './tree-memory.ts';

const gib = 1024 ** 3;

describe('a disk', () => {
  const rule = diskSpace({ warnBelow: 50 * gib, cleanBelow: 20 * gib, stopBelow: 5 * gib, resumeAbove: 10 * gib });
  const left = (gibibytes: number, stopped = false, availableFiles: number | undefined = 1_000_000) =>
    rule([
      { at: 0, path: '/workspace', totalBytes: 500 * gib, availableBytes: gibibytes * gib, availableFiles, stopped },
    ]);

  test.each([
    [60, undefined],
    [49, 'record'],
    [19, 'clean-up'],
    [4, 'stop-intake'],
  ])('with %i GiB left asks for %s', (gibibytes, action) => {
    expect(left(gibibytes)[0]?.action).toBe(action);
  });

  test('that is full at once is cleaned up as well', () => {
    expect(left(4)).toMatchObject([
      { rule: 'disk-space', action: 'stop-intake' },
      { rule: 'disk-clean-up', action: 'clean-up', severity: 'error' },
    ]);
    expect(left(400, false, 3)).toHaveLength(1);
  });

  test('takes jobs again well above where it stopped', () => {
    expect(left(7)[0]?.action).toBe('clean-up');
    expect(left(7, true)[0]?.action).toBe('stop-intake');
    expect(left(11, true)[0]?.action).toBe('clean-up');
  });

  test('without room for files is full', () => {
    expect(left(400, false, 3)).toMatchObject([
      { action: 'stop-intake', reason: 'the disk of /workspace has room for 3 files left' },
    ]);
  });
});

describe('memory of the machine', () => {
  const rule = hostMemory({ warnBelow: 0.1, stopBelow: 0.05, resumeAbove: 0.08 });
  const sample = { at: 0, totalBytes: 100 * gib, availableBytes: 50 * gib, stopped: false };

  test.each([
    [50, false, undefined],
    [9, false, 'record'],
    [4, false, 'stop-intake'],
    [7, true, 'stop-intake'],
    [9, true, 'record'],
  ])('with %i %% left (stopped: %s) asks for %s', (percent, stopped, action) => {
    expect(rule([{ ...sample, availableBytes: percent * gib, stopped }])[0]?.action).toBe(action);
  });

  test('is that of the control group where it has less', () => {
    expect(rule([{ ...sample, cgroup: { limitBytes: 16 * gib, usedBytes: 15.5 * gib } }])).toMatchObject([
      { action: 'stop-intake', reason: '0.5 GiB of 16.0 GiB memory are left' },
    ]);
  });

  test('that all wait for is at its end, whatever is called available', () => {
    expect(rule([{ ...sample, pressure: { some: 60, full: 40 } }])).toMatchObject([
      { action: 'stop-intake', reason: expect.stringContaining('work waits for it 40 % of the time') },
    ]);
    expect(rule([{ ...sample, pressure: { some: 60, full: 10 } }])).toEqual([]);
    expect(rule([{ ...sample, pressure: { some: 60, full: 10 }, stopped: true }])).toMatchObject([
      { action: 'stop-intake' },
    ]);
  });
});

describe('an instance', () => {
  const tree = (more: Partial<TreeSample>): TreeSample => ({
    at: 0,
    instance: 'comfyui_gpu0',
    pids: [10, 11],
    memoryBytes: gib,
    files: { pid: 10, open: 100, limit: 1_000 },
    stuck: [],
    ...more,
  });
  const lasting = (more: Partial<TreeSample>) => [0, 30_000, 60_000].map((at) => tree({ at, ...more }));

  test('above its memory for longer than a peak is restarted between jobs', () => {
    const rule = treeMemory(8 * gib);
    expect(rule(lasting({ memoryBytes: 9 * gib }))).toMatchObject([
      { action: 'restart-when-idle', reason: 'comfyui_gpu0 takes 9.0 GiB of memory, its ceiling is 8.0 GiB' },
    ]);
    expect(rule(lasting({ memoryBytes: 9 * gib }).slice(0, 2))).toEqual([]);
    expect(rule(lasting({}))).toEqual([]);
  });

  test.each([
    [100, undefined],
    [850, 'record'],
    [960, 'restart-when-idle'],
  ])('with %i of 1,000 files asks for %s', (open, action) => {
    expect(processFiles([tree({ files: { pid: 10, open, limit: 1_000 } })])[0]?.action).toBe(action);
  });

  test('whose files cannot be read gives no verdict', () => {
    expect(processFiles([tree({ files: undefined })])).toEqual([]);
  });

  test('that hangs in the kernel for a minute is told', () => {
    expect(stuckProcess(lasting({ stuck: [11] }))).toMatchObject([
      { reason: 'comfyui_gpu0 hangs in the kernel, pid 11' },
    ]);
    expect(stuckProcess([...lasting({ stuck: [11] }), tree({ at: 70_000, stuck: [10] })])).toEqual([]);
  });

  test('that floods its log is told', () => {
    const rule = logVolume(10 * 1024 ** 2);
    const grows = (mibPerMinute: number) =>
      [0, 1, 2].map((minute) => ({
        at: minute * 60_000,
        instance: 'comfyui_gpu0',
        bytes: minute * mibPerMinute * 1024 ** 2,
      }));
    expect(rule(grows(50))).toMatchObject([{ action: 'record', reason: expect.stringContaining('50.0 MiB a minute') }]);
    expect(rule(grows(5))).toEqual([]);
    expect(rule(grows(50).slice(0, 1))).toEqual([]);
  });
});

test.each([
  [10, undefined],
  [85, 'record'],
  [99, 'stop-intake'],
])('a machine with %i of 100 files open asks for %s', (open, action) => {
  expect(hostFiles([{ at: 0, open, limit: 100, stopped: false }])[0]?.action).toBe(action);
});

test.each([
  [91, 'stop-intake'],
  [89, 'record'],
])('a machine that stopped for its open files asks at %i of 100 for %s', (open, action) => {
  expect(hostFiles([{ at: 0, open, limit: 100, stopped: true }])[0]?.action).toBe(action);
});
