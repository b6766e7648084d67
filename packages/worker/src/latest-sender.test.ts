import { fakeClock } from '@mgpu/core/testing';
import { expect, test } from 'vitest';
import { LatestSender } from './latest-sender.ts';

test('sends the newest of each interval', async () => {
  const clock = fakeClock();
  const sent: number[] = [];
  const sender = new LatestSender<number>(clock, 100, async (value) => sent.push(value));
  for (const value of [1, 2, 3]) sender.push(value);
  await clock.advance(99);
  expect(sent).toEqual([]);
  await clock.advance(1);
  expect(sent).toEqual([3]);
  for (const value of [4, 5]) sender.push(value);
  await clock.advance(100);
  expect(sent).toEqual([3, 5]);
});

test('sends what is left when it ends, and nothing after', async () => {
  const clock = fakeClock();
  const sent: number[] = [];
  const sender = new LatestSender<number>(clock, 100, async (value) => sent.push(value));
  sender.push(1);
  await clock.advance(100);
  sender.push(3);
  sender.end();
  sender.push(4);
  await clock.advance(1_000);
  expect(sent).toEqual([1, 3]);
  expect(clock.sleepers).toBe(0);
});

test('has nothing to say of what ended before its first news', async () => {
  const clock = fakeClock();
  const sent: number[] = [];
  const sender = new LatestSender<number>(clock, 100, async (value) => sent.push(value));
  sender.push(1);
  sender.end();
  await clock.advance(1_000);
  expect(sent).toEqual([]);
  expect(clock.sleepers).toBe(0);
});

test('sends what is left at its end though the one before is still on its way', async () => {
  const clock = fakeClock();
  const sent: number[] = [];
  const sender = new LatestSender<number>(clock, 0, (value) => {
    sent.push(value);
    return new Promise(() => {});
  });
  sender.push(1);
  sender.push(2);
  sender.end();
  expect(sent).toEqual([1, 2]);
});

test('drops what cannot be sent, and never sends two at once', async () => {
  const clock = fakeClock();
  const sent: number[] = [];
  let release = Promise.withResolvers<void>();
  const sender = new LatestSender<number>(clock, 0, async (value) => {
    sent.push(value);
    await release.promise;
  });
  sender.push(1);
  sender.push(2);
  sender.push(3);
  await clock.advance(10);
  expect(sent).toEqual([1]);
  const failing = release;
  release = Promise.withResolvers();
  failing.reject(new Error('no connection'));
  await clock.advance(10);
  expect(sent).toEqual([1, 3]);
});
