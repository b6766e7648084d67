import { expect, test } from 'vitest';
import { mergeSettings } from './merge-settings.ts';

test.each([
  ['a wish where there is nothing', {}, { a: 1 }, {}, { a: 1 }],
  ['what the user has set', { a: 2 }, { a: 1 }, { a: 1 }, { a: 2 }],
  ['a wish that has changed since', { a: 2 }, { a: 3 }, { a: 1 }, { a: 3 }],
  ['what nobody wishes any more', { a: 1 }, {}, { a: 1 }, { a: 1 }],
  ['lists by their content', { a: [9] }, { a: [1] }, { a: [1] }, { a: [9] }],
  ['a first wish over what was there before', { a: 2, b: 1 }, { a: 1 }, {}, { a: 1, b: 1 }],
])('keeps %s', (_, own, wanted, applied, merged) => {
  expect(mergeSettings(own, wanted, applied)).toEqual(merged);
});
