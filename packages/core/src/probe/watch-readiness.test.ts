import { expect, test } from 'vitest';
import { fakeClock } from '../testing/fake-clock.ts';
import { type ProbeOutcome, probeFail, probeOk, type RunningProbe } from './probe.ts';
import { watchReadiness } from './watch-readiness.ts';

const ok = probeOk;
const no = probeFail('no');
const unknown: ProbeOutcome = { outcome: 'unknown', reason: 'odd' };

/** What is reported while these answers come, one an interval. */
async function changes(
  answers: ProbeOutcome[],
  initially: 'ready' | 'notReady' | 'unknown',
  thresholds: Pick<RunningProbe, 'failures' | 'successes'> = {},
): Promise<string[]> {
  const clock = fakeClock();
  const controller = new AbortController();
  const told: string[] = [];
  let asked = 0;
  const probe = {
    description: 'it',
    attempt: async () => {
      const answer = answers[asked++];
      if (asked > answers.length) controller.abort();
      return answer ?? unknown;
    },
  };
  let last = '';
  const onChange = (change: { health: string; reason?: string }) => {
    const text = [change.health, change.reason].filter(Boolean).join(' ');
    if (text !== last) told.push(`${asked} ${text}`); // the service says the same thing once, too
    last = text;
  };
  const done = watchReadiness(
    { probe, intervalMs: 1_000, ...thresholds },
    { clock, signal: controller.signal, initially, onChange },
  );
  await clock.advance(1_200 * (answers.length + 1));
  await done;
  expect(clock.sleepers).toBe(0);
  return told;
}

test('three failures in a row make it not ready, one success ready again', async () => {
  expect(await changes([no, no, ok, no, no, no, no, ok, ok], 'ready')).toEqual(['6 notReady no', '8 ready']);
});

test('another reason is news again', async () => {
  expect(await changes([no, no, no, no, probeFail('worse')], 'ready')).toEqual(['3 notReady no', '5 notReady worse']);
});

test('the thresholds are those of the probe', async () => {
  expect(await changes([no, ok, ok, ok], 'ready', { failures: 1, successes: 3 })).toEqual(['1 notReady no', '4 ready']);
});

test('unknown changes nothing and does not break a row', async () => {
  expect(await changes([no, unknown, no, unknown, unknown, no], 'ready')).toEqual(['6 notReady no']);
  expect(await changes([unknown, unknown, unknown, unknown], 'ready')).toEqual([]);
});

test('as long as nothing is known the first answer counts', async () => {
  expect(await changes([unknown, no], 'unknown')).toEqual(['2 notReady no']);
  expect(await changes([ok], 'unknown')).toEqual(['1 ready']);
});

test('flapping below the threshold is no news', async () => {
  expect(
    await changes(
      Array.from({ length: 20 }, (_, n) => (n % 2 ? ok : no)),
      'ready',
    ),
  ).toEqual([]);
});
