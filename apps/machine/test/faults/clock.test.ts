import {
  BaseService,
  type Clock,
  composeConfigSchema,
  coreErrors,
  defineService,
  layoutOf,
  mockGpus,
  Orchestrator,
  type Run,
} from '@mgpu/core';
import { type FakeClock, fakeClock, temporaryFolder } from '@mgpu/core/testing';
import { watchdog } from '@mgpu/watchdog';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';

const secondMs = 1_000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;

const broken = () =>
  new coreErrors.ProcessExitedError({ instance: 'subject', exitCode: 1, signal: null, lastLines: [], log: '' });

/** A machine in this process, in a time of its own: a subject that ends when told, and the watchdog. */
async function machine({ failsAtStart = false }: { failsAtStart?: boolean } = {}) {
  const time = fakeClock();
  let wallOffset = 0;
  const clock: Clock = { ...time, now: () => time.now() + wallOffset };
  /** When it was started, elapsed milliseconds. */
  const starts: number[] = [];
  let present: Run | undefined;

  class Subject extends BaseService<object> {
    protected override async onStart(run: Run): Promise<void> {
      starts.push(clock.elapsed());
      present = run;
      if (failsAtStart) throw broken();
    }
  }
  const subject = defineService({
    api: 1,
    kind: 'subject',
    summary: 'Ends when it is told',
    scope: 'machine',
    phase: 'subject',
    critical: false,
    schema: z.strictObject({ enabled: z.boolean().default(true) }),
    create: (_, context) => new Subject({}, context),
  });
  const folder = temporaryFolder('clock');
  const definitions = [watchdog, subject];
  const orchestrator = new Orchestrator({
    definitions,
    config: composeConfigSchema(definitions).parse({ services: { watchdog: { gpu: { kernelLog: 'off' } } } }),
    gpus: mockGpus(1),
    layout: layoutOf(folder.path),
    machineId: 'machine',
    env: {},
    clock,
    survive: false,
  });
  onTestFinished(async () => {
    await orchestrator.stop({ force: true });
    folder[Symbol.dispose]();
  });
  await orchestrator.start();
  return {
    time,
    clock,
    starts,
    fail: () => present?.fail(broken()),
    /** Moves the wall clock alone, as an administrator or NTP does. */
    jump: (ms: number) => {
      wallOffset += ms;
    },
    status: () => orchestrator.status().find(({ id }) => id === 'subject'),
  };
}

/** Lets time pass in steps, so that whoever wakes up can go to sleep again. */
async function pass(time: FakeClock, ms: number, stepMs = secondMs / 4): Promise<void> {
  for (let passed = 0; passed < ms; passed += stepMs) await time.advance(Math.min(stepMs, ms - passed));
}

const pauses = (starts: readonly number[]) =>
  starts.slice(1).map((at, index) => (at - (starts[index] ?? 0)) / secondMs);

test('F5 instant crash loop: 1, 2, 4 and 8 s ± 20 %, failed at 5, one more attempt after 15 minutes', async () => {
  const { time, starts, status } = await machine({ failsAtStart: true });
  await pass(time, minuteMs);
  expect(starts).toHaveLength(5);
  for (const [n, pause] of pauses(starts).entries()) {
    expect(pause, `pause ${n}`).toBeGreaterThanOrEqual(2 ** n * 0.8);
    expect(pause, `pause ${n}`).toBeLessThanOrEqual(2 ** n * 1.2 + 0.5);
  }
  expect(status()).toMatchObject({ state: 'failed', attempt: 4 });
  await pass(time, 14 * minuteMs, 10 * secondMs);
  expect(starts).toHaveLength(5);
  await pass(time, 2 * minuteMs, secondMs);
  expect(starts).toHaveLength(6);
});

test('F6 slow crash loop: ready, then dies 5 s later, for ever; the limit is reached', async () => {
  const { time, starts, fail, status } = await machine();
  for (let n = 0; n < 60 && status()?.state !== 'failed'; n++) {
    await pass(time, 5 * secondMs);
    if (status()?.state === 'running') fail();
    await pass(time, secondMs);
  }
  expect(status()).toMatchObject({ state: 'failed' });
  expect(starts).toHaveLength(5);
});

test('F6 the same after an hour of stability: the first restart is immediate, the limit is reached all the same', async () => {
  const { time, clock, starts, fail, status } = await machine();
  await pass(time, hourMs, minuteMs);
  const failedAt = clock.elapsed();
  fail();
  await pass(time, secondMs, 10);
  expect(starts[1]).toBe(failedAt);
  for (let n = 0; n < 60 && status()?.state !== 'failed'; n++) {
    await pass(time, 5 * secondMs);
    if (status()?.state === 'running') fail();
    await pass(time, secondMs);
  }
  expect(status()).toMatchObject({ state: 'failed' });
});

for (const [words, hours] of [
  ['back', -1],
  ['forward', 1],
] as const) {
  test(`F18 the wall clock jumps an hour ${words}: timers are unaffected`, async () => {
    const { time, clock, starts, jump, status } = await machine({ failsAtStart: true });
    await pass(time, 5 * secondMs);
    const { length } = starts;
    expect(length).toBeLessThan(5);
    jump(hours * hourMs);
    const { until = '' } = status() ?? {};
    // What is shown follows the clock that people look at.
    expect(Math.abs(Date.parse(until) - clock.now())).toBeLessThan(10 * secondMs);
    await pass(time, 20 * secondMs);
    expect(starts).toHaveLength(5);
  });
}

test('F18 the host sleeps for 10 minutes: what was due is done, once', async () => {
  const { time, starts, fail } = await machine();
  await pass(time, 5 * secondMs);
  fail();
  await time.advance(0);
  fail();
  await time.advance(10 * minuteMs);
  await pass(time, secondMs);
  expect(starts).toHaveLength(3);
});
