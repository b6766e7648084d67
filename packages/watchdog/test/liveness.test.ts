import type { WorkInHand } from '@mgpu/core';
import { describe, expect, test } from 'vitest';
import { bench, fixture, isReady } from './machine.ts';

const engine = 'engine_gpu0';

const work = (job: string, progressAt = new Date().toISOString()): WorkInHand => ({
  job,
  since: progressAt,
  progressAt,
});

describe('one that hangs', () => {
  test('is found, ended and back', async () => {
    const { until, pidOf, incidents } = await bench();
    const pid = pidOf(engine);
    process.kill(pid, 'SIGSTOP');
    const failed = await until(engine, ({ state }) => state === 'cleaning');
    expect(failed.reason).toMatchObject({ code: 'WATCHDOG_HUNG' });
    await until(engine, (status) => isReady(status) && status.pid !== pid);
    const [incident] = await incidents(engine);
    expect(incident?.cause.message).toMatch(
      /is alive but does not answer: GET http:\/\/engine\/ failed 3 times in [\d.]+ s, last: no answer within 200 ms$/,
    );
    const state = { text: expect.stringMatching(new RegExp(`^process ${pid} is stopped by a signal`)) };
    expect(incident?.evidence).toContainEqual(expect.objectContaining(state));
  });

  test('is left alone while its job makes progress, and not any longer', async () => {
    const { until, pidOf, said, statusOf } = await bench();
    const pid = pidOf(engine);
    let steps = 0;
    const beat = setInterval(() => said.set(engine, { work: [work('long', String(steps++))] }), 20);
    try {
      process.kill(pid, 'SIGSTOP');
      // Three times what it takes to find it.
      await expect.poll(() => steps).toBeGreaterThan((3 * 3 * 250) / 20);
      expect(statusOf(engine)).toMatchObject({ state: 'running', pid });
    } finally {
      clearInterval(beat);
    }
    await until(engine, (status) => isReady(status) && status.pid !== pid);
  });
});

test('work that stands still is ended, answering or not', async () => {
  const said = new Map([[engine, { work: [work('stuck')] }]]);
  const { until, incidents } = await bench({ said, supervision: { stallAfterMs: 300 } });
  const { reason } = await until(engine, ({ state }) => state === 'cleaning');
  expect(reason).toMatchObject({ code: 'WATCHDOG_STALLED' });
  said.delete(engine);
  await until(engine, isReady);
  await expect
    .poll(async () => (await incidents(engine))[0]?.cause.message)
    .toMatch(/has made no progress for [\d.]+ s with stuck in hand$/);
});

test('a start that takes longer than it may is ended', async () => {
  const silent = { command: () => ({ ...fixture('fails.mjs'), file: 'sleep', args: ['600'] }) };
  const { until } = await bench({
    engine: silent,
    supervision: { startDeadlineMs: 100 },
    config: { coolOffMs: 'off', defaults: { attempts: 1 } },
  });
  const { reason } = await until(
    engine,
    ({ state, reason: why }) => state === 'failed' && /given up/.test(why?.message ?? ''),
  );
  expect(reason).toMatchObject({ cause: { code: 'WATCHDOG_START_DEADLINE' } });
});
