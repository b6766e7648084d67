import { fakeClock } from '@mgpu/core/testing';
import { expect, test, vi } from 'vitest';
import { Recent } from './recent.ts';

const bounds = { maxAgeMs: 1_000, waitMs: 250 };

test('many who ask at once are one question, and its answer is good for a while', async () => {
  const clock = fakeClock();
  const ask = vi.fn(async () => 'answer');
  const recent = new Recent({ clock, ask, ...bounds });
  expect(await Promise.all([recent.get(), recent.get()])).toEqual(['answer', 'answer']);
  await clock.advance(999);
  await recent.get();
  expect(ask).toHaveBeenCalledTimes(1);
  await clock.advance(1);
  await recent.get();
  expect(ask).toHaveBeenCalledTimes(2);
});

test('nobody waits for long, and who comes later not at all; the answer is there when it comes', async () => {
  const clock = fakeClock();
  const late = Promise.withResolvers<string>();
  const recent = new Recent({ clock, ask: () => late.promise, ...bounds });
  const first = recent.get();
  await clock.advance(250);
  expect(await first).toBeUndefined();
  expect(await recent.get()).toBeUndefined();
  late.resolve('late');
  await late.promise;
  await vi.waitFor(async () => expect(await recent.get()).toBe('late'));
});

test('a failure stands for a while, too', async () => {
  const clock = fakeClock();
  const ask = vi.fn(async () => Promise.reject(new Error('away')));
  const recent = new Recent({ clock, ask, ...bounds });
  expect(await recent.get()).toBeUndefined();
  expect(await recent.get()).toBeUndefined();
  expect(ask).toHaveBeenCalledTimes(1);
});
