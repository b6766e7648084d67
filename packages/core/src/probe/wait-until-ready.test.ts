import { expect, test } from 'vitest';
import { ProcessExitedError } from '../errors/core-errors.ts';
import { fakeClock } from '../testing/fake-clock.ts';
import { type ProbeOutcome, probeFail, probeOk } from './probe.ts';
import { waitUntilReady } from './wait-until-ready.ts';

const unknown: ProbeOutcome = { outcome: 'unknown', reason: 'no descriptors' };

function wait(answers: (ProbeOutcome | 'silence')[], deadlineMs = 1_000) {
  const clock = fakeClock();
  const controller = new AbortController();
  let asked = 0;
  const probe = {
    description: 'GET it',
    attempt: () => {
      const answer = answers[Math.min(asked++, answers.length - 1)] ?? probeOk;
      return answer === 'silence' ? new Promise<never>(() => {}) : Promise.resolve(answer);
    },
  };
  const done = waitUntilReady({ probe, deadlineMs }, { instance: 'it', clock, signal: controller.signal }).then(
    () => 'ready',
    (error: unknown) => error,
  );
  return { clock, controller, done, asked: () => asked };
}

test('asks every 100 ms until the answer is yes, whatever it was before', async () => {
  const { clock, done, asked } = wait([probeFail('no'), unknown, probeFail('no'), probeOk]);
  await clock.advance(299);
  expect(asked()).toBe(3);
  await clock.advance(1);
  expect(await done).toBe('ready');
  expect(clock.sleepers).toBe(0);
});

test('gives up at the deadline with the last answer', async () => {
  const { clock, done } = wait([probeFail('status 503')]);
  await clock.advance(1_000);
  expect(await done).toMatchObject({
    code: 'CORE_START_TIMEOUT',
    message: 'it: not ready after 1 s; GET it last said: status 503',
    details: { waitedMs: 1_000, last: 'status 503' },
  });
});

test('does not take the try that the deadline cut short for the last answer', async () => {
  const { clock, done } = wait([probeFail('status 503'), 'silence']);
  await clock.advance(1_000);
  expect(await done).toMatchObject({ details: { last: 'status 503' } });
});

test('tells silence as that', async () => {
  const { clock, done } = wait(['silence']);
  await clock.advance(1_000);
  expect(await done).toMatchObject({ details: { last: 'no answer within 1000 ms' } });
});

test('a fatal answer ends the wait at once', async () => {
  const error = new ProcessExitedError({ instance: 'it', exitCode: 1, signal: null, lastLines: [], log: 'l' });
  const { done } = wait([{ outcome: 'fatal', error }]);
  expect(await done).toBe(error);
});

test('its signal ends the wait at once, while asking or waiting to ask', async () => {
  for (const answer of ['silence', probeFail('no')] as const) {
    const { clock, controller, done } = wait([answer]);
    await clock.advance(50);
    controller.abort('stopped');
    expect(await done).toBe('stopped');
    expect(clock.sleepers).toBe(0);
  }
});
