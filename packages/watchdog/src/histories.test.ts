import { expect, test } from 'vitest';
import { Histories } from './histories.ts';

test('a history goes back as far as it is to, however often samples are taken', () => {
  const histories = new Histories<{ at: number }>({ keepMs: 60_000 });
  for (const stepMs of [100, 30_000]) {
    let history: readonly { at: number }[] = [];
    for (let at = 0; at <= 120_000; at += stepMs) history = histories.add(`every ${stepMs}`, { at });
    expect([history.at(0)?.at, history.at(-1)?.at]).toEqual([60_000, 120_000]);
  }
});

test('of too many the last are kept, and a subject can be forgotten', () => {
  const histories = new Histories<{ at: number }>({ keepMs: 1_000, most: 2 });
  for (const at of [1, 2, 3]) histories.add('it', { at });
  expect(histories.add('it', { at: 4 })).toEqual([{ at: 3 }, { at: 4 }]);
  histories.forget('it');
  expect(histories.add('it', { at: 5 })).toEqual([{ at: 5 }]);
});
