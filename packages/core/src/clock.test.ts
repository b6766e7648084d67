import { expect, test } from 'vitest';
import { abortable, deadline, systemClock } from './clock.ts';
import { fakeClock } from './testing/fake-clock.ts';

const outcome = (promise: Promise<unknown>) =>
  promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );

test('sleep ends early with the reason of its signal and leaves no timer', async () => {
  for (const clock of [systemClock, fakeClock()]) {
    const controller = new AbortController();
    const slept = outcome(clock.sleep(60_000, { signal: controller.signal }));
    controller.abort('enough');
    expect(await slept).toEqual({ error: 'enough' });
    expect(await outcome(clock.sleep(60_000, { signal: controller.signal }))).toEqual({ error: 'enough' });
  }
});

test('the fake clock wakes sleepers in order and lets each act before the next', async () => {
  const clock = fakeClock();
  const woken: string[] = [];
  void clock.sleep(200).then(() => woken.push(`b at ${clock.elapsed()}`));
  void clock.sleep(100).then(async () => {
    woken.push(`a at ${clock.elapsed()}`);
    await clock.sleep(50);
    woken.push(`c at ${clock.elapsed()}`);
  });
  await clock.advance(199);
  expect(woken).toEqual(['a at 100', 'c at 150']);
  expect(clock.sleepers).toBe(1);
  await clock.advance(1);
  expect(woken.at(-1)).toBe('b at 200');
  expect(new Date(clock.now()).toISOString()).toBe('2026-01-01T00:00:00.200Z');
});

test('a deadline fires with its reason, a disposed one never', async () => {
  const clock = fakeClock();
  const kept = deadline(clock, 100, () => 'late');
  {
    using dropped = deadline(clock, 100, () => 'late');
    expect(dropped.signal.aborted).toBe(false);
  }
  expect(clock.sleepers).toBe(1);
  await clock.advance(100);
  expect(kept.signal.reason).toBe('late');
});

test('a deadline fires with its parent', () => {
  const parent = new AbortController();
  using within = deadline(fakeClock(), 100, () => 'late', parent.signal);
  parent.abort('gone');
  expect(within.signal.reason).toBe('gone');
});

test('abortable settles as the work does, or with the reason of the signal', async () => {
  const controller = new AbortController();
  expect(await abortable(Promise.resolve(1), controller.signal)).toBe(1);
  expect(await abortable(Promise.resolve(1), undefined)).toBe(1);
  const pending = outcome(abortable(new Promise(() => {}), controller.signal));
  controller.abort('gone');
  expect(await pending).toEqual({ error: 'gone' });
  expect(await outcome(abortable(Promise.reject(new TypeError('lost')), controller.signal))).toEqual({
    error: expect.anything(),
  });
});
