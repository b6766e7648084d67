import { expect, test } from 'vitest';
import type { Clock } from '../clock.ts';
import { untilNextTry } from './until-next-try.ts';

const { signal } = new AbortController();

/** A clock of its own whose timers fire 1 ms early, as those of the system may. */
function early(start: number): Clock {
  let now = start;
  return {
    now: () => now,
    elapsed: () => now,
    sleep: async (ms) => {
      now += Math.max(0, ms - 1);
    },
  };
}

async function triesFrom(start: number, intervalMs: number): Promise<number[]> {
  const clock = early(start);
  const tries: number[] = [];
  for (let count = 0; count < 4; count += 1) {
    await untilNextTry(clock, { intervalMs, began: clock.elapsed(), signal });
    tries.push(clock.elapsed());
  }
  return tries;
}

test('the tries of many come together, and keep their interval though timers fire early', async () => {
  const together = [4_999, 9_999, 14_999, 19_999];
  expect(await triesFrom(300, 5_000)).toEqual(together);
  expect(await triesFrom(900, 5_000)).toEqual(together);
});

test('one that is asked often keeps its own time', async () => {
  expect(await triesFrom(300, 1_000)).toEqual([1_299, 2_298, 3_297, 4_296]);
});
