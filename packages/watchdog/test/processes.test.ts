import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@mgpu/core';
import { fakeClock } from '@mgpu/core/testing';
import { describe, expect, test } from 'vitest';
import { describeProcess, seesHostPids } from '../src/sources/memory-holders.ts';
import { sampleTrees } from '../src/sources/process-trees.ts';
import { eventually } from './support.ts';

/** A program in a session of its own, as instances are; says when it is as it should be. Ended with its group. */
async function leader(): Promise<AsyncDisposable & { pid: number; others: number[]; child: ChildProcess }> {
  const file = join(import.meta.dirname, 'fixtures/takes-memory.mjs');
  const child = spawn(process.execPath, [file], { detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const [text] = (await once(child.stdout, 'data')) as [Buffer];
  const pid = child.pid as number;
  return {
    pid,
    child,
    others: JSON.parse(String(text)) as number[],
    async [Symbol.asyncDispose]() {
      for (const each of [...(JSON.parse(String(text)) as number[]), pid]) {
        try {
          process.kill(each, 'SIGKILL');
        } catch {
          // ended already
        }
      }
      await ended;
    },
  };
}

describe('a tree of processes', () => {
  test('is the leader, its session and children that left it, with their memory and files', async () => {
    await using program = await leader();
    const clock = fakeClock();
    const [sample, ...more] = sampleTrees([{ instance: 'comfyui_gpu0', pid: program.pid }], clock);
    expect(more).toEqual([]);
    expect(sample).toMatchObject({ at: 0, instance: 'comfyui_gpu0', stuck: [] });
    expect(sample?.pids.toSorted()).toEqual([program.pid, ...program.others].toSorted());
    // Each holds 64 MiB of its own.
    expect(sample?.memoryBytes).toBeGreaterThan(3 * 64 * 1024 ** 2);
    expect(sample?.files?.open).toBeGreaterThan(100);
    expect(sample?.files?.pid).toBe(program.pid);
    expect(sample?.files?.limit).toBeGreaterThanOrEqual(sample?.files?.open ?? 0);
  });

  test('is measured exactly above a size', async () => {
    await using program = await leader();
    const memory = (exactAbove?: number) =>
      sampleTrees([{ instance: 'x', pid: program.pid, exactAbove }], fakeClock())[0]?.memoryBytes ?? 0;
    expect(memory(1024 ** 2)).toBeLessThan(memory());
    expect(memory(1024 ** 2)).toBeGreaterThan(3 * 64 * 1024 ** 2);
    expect(memory(1024 ** 4)).toBeGreaterThan(memory(1024 ** 2));
  });

  test('that is gone has no sample', async () => {
    const program = await leader();
    await program[Symbol.asyncDispose]();
    expect(sampleTrees([{ instance: 'x', pid: program.pid }], fakeClock())).toEqual([]);
  });
});

describe('a holder of GPU memory', () => {
  test('is told with what it runs, and for whom', () => {
    const { command, owner } = describeProcess(process.pid) ?? {};
    expect(command).toContain('node');
    expect(owner).toBe(userInfo().username);
    expect(typeof seesHostPids()).toBe('boolean');
  });

  test('that is dead is nobody', async () => {
    await using program = await leader();
    expect(describeProcess(program.pid)).toMatchObject({ command: expect.stringContaining('takes-memory.mjs') });
    process.kill(program.pid, 'SIGKILL');
    await eventually(() => describeProcess(program.pid) === undefined, systemClock);
  });
});
