import { fakeClock } from '@mgpu/core/testing';
import { expect, test } from 'vitest';
import { Prefetch } from './prefetch.ts';
import type { TakenJob } from './queue.ts';
import { RunningJob } from './running-job.ts';

const begin = (startedAt: number) => new RunningJob({} as TakenJob, startedAt);

test('allows a further job when nothing is known but that the present one is about to end', () => {
  const prefetch = new Prefetch(fakeClock());
  const running = begin(0);
  expect([prefetch.allows([]), prefetch.allows([running])]).toEqual([true, false]);
  running.report({ percent: 89 }, 0);
  expect(prefetch.allows([running])).toBe(false);
  running.report({ percent: 90 }, 0);
  expect(prefetch.allows([running])).toBe(true);
});

test('where jobs have been short, allows one as long as the present one is no exception', async () => {
  const clock = fakeClock();
  const prefetch = new Prefetch(clock);
  await clock.advance(900);
  prefetch.learn(begin(0));
  const running = begin(clock.elapsed());
  expect(prefetch.allows([running])).toBe(true);
  await clock.advance(1_000);
  expect(prefetch.allows([running])).toBe(false);
});

test('where they have been long, does not', async () => {
  const clock = fakeClock();
  const prefetch = new Prefetch(clock);
  await clock.advance(1_000);
  prefetch.learn(begin(0));
  expect(prefetch.allows([begin(clock.elapsed())])).toBe(false);
});
