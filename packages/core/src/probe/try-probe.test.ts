import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { StartTimeoutError } from '../errors/core-errors.ts';
import { fakeClock } from '../testing/fake-clock.ts';
import { allOfProbe } from './all-of-probe.ts';
import { type Probe, type ProbeOutcome, probeFail, probeOk } from './probe.ts';
import { tryProbe } from './try-probe.ts';

const probe = (attempt: Probe['attempt']): Probe => ({ description: 'it', attempt });
const never = probe(() => new Promise(() => {}));
const fatal = (): ProbeOutcome => ({
  outcome: 'fatal',
  error: new StartTimeoutError({ instance: 'it', waitedMs: 1, probe: 'p', last: 'l', lastLines: [] }),
});

test('a try that takes too long is a failure, and is told to give up', async () => {
  const clock = fakeClock();
  let told: AbortSignal | undefined;
  const answer = tryProbe(
    probe(({ signal }) => {
      told = signal;
      return new Promise(() => {});
    }),
    { timeoutMs: 100, clock },
  );
  await clock.advance(100);
  expect(await answer).toEqual(probeFail('no answer within 100 ms'));
  expect(told?.aborted).toBe(true);
});

test('a try during which this process could not run is unknown', async () => {
  let elapsed = 0;
  const wake = Promise.withResolvers<void>();
  const clock = { now: () => 0, elapsed: () => elapsed, sleep: () => wake.promise };
  const answer = tryProbe(never, { timeoutMs: 100, clock });
  elapsed = 1_000;
  wake.resolve();
  expect(await answer).toEqual({ outcome: 'unknown', reason: 'this process was too busy to hear an answer' });
});

test('a try that is cancelled is unknown', async () => {
  const controller = new AbortController();
  const answer = tryProbe(never, { timeoutMs: 100, clock: fakeClock(), signal: controller.signal });
  controller.abort();
  expect(await answer).toEqual({ outcome: 'unknown', reason: 'cancelled' });
  expect(await tryProbe(never, { timeoutMs: 100, clock: fakeClock(), signal: controller.signal })).toMatchObject({
    outcome: 'unknown',
  });
});

test('a try that goes wrong itself is unknown, whichever way it throws', async () => {
  const clock = fakeClock();
  const rejecting = probe(() => Promise.reject(new TypeError('odd')));
  const throwing = probe(() => {
    throw new TypeError('odd');
  });
  for (const each of [rejecting, throwing])
    expect(await tryProbe(each, { timeoutMs: 100, clock })).toEqual({ outcome: 'unknown', reason: 'odd' });
});

test('a thousand tries leave nothing on a signal that lives long, and no timer', async () => {
  const clock = fakeClock();
  const { signal } = new AbortController();
  for (let n = 0; n < 1_000; n++)
    await tryProbe(
      probe(async () => probeOk),
      { timeoutMs: 100, clock, signal },
    );
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  expect(clock.sleepers).toBe(0);
});

test('all-of says yes when all do', async () => {
  const all = allOfProbe([probe(async () => probeOk), probe(async () => probeOk)]);
  expect(all.description).toBe('it and it');
  expect(await tryProbe(all, { timeoutMs: 100, clock: fakeClock() })).toEqual(probeOk);
});

test.each<[string, ProbeOutcome]>([
  ['no', probeFail('not yet')],
  ['fatal', fatal()],
  ['unknown', { outcome: 'unknown', reason: 'odd' }],
])('all-of takes the first %s and waits for nobody else', async (_, outcome) => {
  const all = allOfProbe([never, probe(async () => probeOk), probe(async () => outcome)]);
  expect(await tryProbe(all, { timeoutMs: 100, clock: fakeClock() })).toBe(outcome);
});
