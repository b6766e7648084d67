import { fakeClock } from '@mgpu/core/testing';
import { expect, test } from 'vitest';
import { Tally } from './tally.ts';

function tally() {
  const clock = fakeClock();
  return { clock, counts: new Tally('comfyui_gpu0', clock) };
}

test('attempts are counted by type and end, their durations by class', () => {
  const { counts } = tally();
  counts.count('comfyui', 'completed', 400);
  counts.count('comfyui', 'completed', 7_000);
  counts.count('comfyui', 'failed', 4_000_000);
  expect(counts.attempts).toEqual([
    {
      type: 'comfyui',
      engine: 'comfyui_gpu0',
      outcome: 'completed',
      count: 2,
      seconds: 7.4,
      withinBounds: [1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2],
    },
    expect.objectContaining({ outcome: 'failed', count: 1, withinBounds: Array.from({ length: 12 }, () => 0) }),
  ]);
});

test('an engine is idle between a job and one that waited for it, not while there is nothing to do', async () => {
  const { clock, counts } = tally();
  const submitted = clock.now();
  counts.begin(submitted);
  await clock.advance(1_000);
  counts.end();
  await clock.advance(250);
  counts.begin(submitted); // it waited all the time
  counts.end();
  expect(counts.idle).toEqual({ engine: 'comfyui_gpu0', count: 1, seconds: 0.25 });
  await clock.advance(60_000);
  counts.begin(clock.now()); // nothing was there before
  counts.end();
  expect(counts.idle).toEqual({ engine: 'comfyui_gpu0', count: 1, seconds: 0.25 });
});

test('an engine with another job in hand is not idle', async () => {
  const { clock, counts } = tally();
  const submitted = clock.now();
  counts.begin(submitted);
  counts.begin(submitted);
  counts.end();
  await clock.advance(5_000);
  counts.begin(submitted);
  expect(counts.idle.seconds).toBe(0);
});
