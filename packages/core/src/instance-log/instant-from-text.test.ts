import { expect, test } from 'vitest';
import { instantFromText } from './instant-from-text.ts';

const now = Date.UTC(2026, 10, 26, 12);

test.each([
  ['90s', 90_000],
  ['10m', 600_000],
  ['1h30m', 5_400_000],
  ['1.5h', 5_400_000],
  ['2d', 172_800_000],
  ['1w', 604_800_000],
])('%s is so long ago', (text, ago) => {
  expect(instantFromText(text, now)).toBe(now - ago);
});

test.each([
  ['2026-11-26T11:00:00Z', Date.UTC(2026, 10, 26, 11)],
  ['2026-11-26T11:00:00.5+01:00', Date.UTC(2026, 10, 26, 10, 0, 0, 500)],
  ['2026-11-26 11:00', new Date(2026, 10, 26, 11).getTime()],
  ['2026-11-26', new Date(2026, 10, 26).getTime()],
])('%s is that moment', (text, time) => {
  expect(instantFromText(text, now)).toBe(time);
});

test.each(['', 'yesterday', '10', '10 m', '-5m', '2026-13-45', '26.11.2026', '1h1h1h1h1h1h'])('%j is none', (text) => {
  expect(instantFromText(text, now)).toBeUndefined();
});
