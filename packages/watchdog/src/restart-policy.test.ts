import { type Failure, type PastFailure, pastFailure, type Supervision } from '@mgpu/core';
import { describe, expect, test } from 'vitest';
import { watchdogSchema } from './config.ts';
import { recoveryPolicy } from './recovery-policy.ts';
import { restartPolicy } from './restart-policy.ts';

type Change = Partial<Failure> & { readonly readyAfter?: number };

/** An instance that fails again and again, each time as told; time passes as it was decided. */
function patient({
  config = {},
  supervision = {},
  random = 0.5,
  mayRestart = true,
}: {
  config?: Parameters<typeof watchdogSchema.parse>[0];
  supervision?: Supervision;
  random?: number;
  mayRestart?: boolean;
} = {}) {
  const settings = watchdogSchema.parse(config);
  const policy = restartPolicy({
    policyOf: (instance) => recoveryPolicy(settings, instance),
    mayRestart: () => mayRestart,
    coolOffMs: settings.coolOffMs,
    restartsPerMinute: settings.restartsPerMinute,
    random: () => random,
  });
  const history: PastFailure[] = [];
  let now = 1_000_000;
  return {
    /** Runs for `ms`, ready after `readyAfter`, then fails. */
    fail(ms: number, { readyAfter, ...change }: Change = {}) {
      const error = { code: 'CORE_PROCESS_EXITED', message: 'ended', retryable: true };
      const startedAt = now;
      now += ms;
      const ready = readyAfter === undefined ? {} : { readyMs: ms - readyAfter };
      const failure = { instance: 'a', kind: 'a', error, startedAt, endedAt: now, ...ready, ...change };
      const decision = policy.decide(failure, history, supervision);
      history.push(pastFailure(failure));
      now += decision.delayMs;
      return decision;
    },
  };
}

/** Ready after a second. */
const wasReady = { readyAfter: 1_000 };

describe('pauses', () => {
  test('a run that never was ready is restarted after a pause that doubles, and given up at the fifth failure', () => {
    const { fail } = patient();
    const decisions = Array.from({ length: 7 }, () => fail(100));
    expect(decisions.map(({ delayMs }) => delayMs)).toEqual([
      1_000, 2_000, 4_000, 8_000, 900_000, 1_800_000, 3_600_000,
    ]);
    expect(decisions.map(({ gaveUp = false }) => gaveUp)).toEqual([false, false, false, false, true, true, true]);
    expect(decisions[1]?.reason).toBe('restarted in 2 s (failure 2 of 5 in 10 min)');
    expect(decisions[4]?.reason).toBe('given up after 5 failures in 10 min, one more attempt in 15 min');
  });

  test('one that was ready is restarted at once the first time', () => {
    const { fail } = patient();
    expect(Array.from({ length: 4 }, () => fail(5_000, wasReady).delayMs)).toEqual([0, 1_000, 2_000, 4_000]);
  });

  test('they are spread by a fifth, and never above the longest', () => {
    const config = { defaults: { attempts: 100, windowMs: 1 } };
    const delays = (random: number) => {
      const { fail } = patient({ config, random });
      return Array.from({ length: 8 }, () => fail(100).delayMs);
    };
    expect(delays(0)).toEqual([800, 1_600, 3_200, 6_400, 12_800, 25_600, 48_000, 48_000]);
    expect(delays(1)).toEqual([1_200, 2_400, 4_800, 9_600, 19_200, 38_400, 60_000, 60_000]);
  });

  test('no more restarts a minute than the machine allows', () => {
    const { fail } = patient({ config: { restartsPerMinute: 2, defaults: { attempts: 100 } } });
    const first = fail(5_000, { ...wasReady, instance: 'a' });
    const others = ['b', 'c', 'd'].map((instance) => fail(0, { readyAfter: 0, instance }));
    expect([first, ...others].map(({ delayMs }) => delayMs)).toEqual([0, 1_000, 59_000, 4_000]);
    expect(others[1]?.reason).toMatch(/the machine restarts enough already/);
  });
});

describe('giving up', () => {
  test('counts failures in the window whatever the uptime, and not those before', () => {
    const slow = patient();
    expect(Array.from({ length: 5 }, () => slow.fail(115_000, { readyAfter: 80_000 }).gaveUp).at(-1)).toBe(true);
    const slower = patient();
    expect(Array.from({ length: 20 }, () => slower.fail(160_000, { readyAfter: 110_000 }).gaveUp)).not.toContain(true);
  });

  test('a stable run clears it, the doubling included', () => {
    const { fail } = patient();
    for (let count = 0; count < 6; count++) fail(100);
    expect(fail(61_000, wasReady)).toMatchObject({
      delayMs: 0,
      reason: expect.stringContaining('failure 1 of 5'),
    });
    expect(fail(100)).toMatchObject({ delayMs: 1_000 });
  });

  test('a run that was not ready any more is not stable', () => {
    const { fail } = patient();
    const decisions = Array.from({ length: 5 }, () => fail(70_000, { readyMs: 1_000 }));
    expect(decisions.map(({ delayMs }) => delayMs)).toEqual([0, 1_000, 2_000, 4_000, 900_000]);
  });

  test('a run that fails before it is stable after a cool-off is given up again', () => {
    const { fail } = patient();
    for (let count = 0; count < 5; count++) fail(100);
    expect(fail(30_000, wasReady)).toMatchObject({ gaveUp: true, delayMs: 1_800_000 });
  });

  test('is for good without a cool-off', () => {
    const { fail } = patient({ config: { coolOffMs: 'off' } });
    const last = Array.from({ length: 5 }, () => fail(100)).at(-1);
    expect(last).toMatchObject({ restart: false, gaveUp: true, reason: 'given up after 5 failures in 10 min' });
  });

  const exit = (code: number, uptimeMs = 100) => ({ exit: { code, signal: null, at: '', run: '', uptimeMs } });
  test.each<[string, Change]>([
    ['a wrong configuration (exit code 78)', exit(78)],
    ['a program that is not there, says a shell', exit(127)],
    ['an error that lasts', { error: { code: 'CORE_PROCESS_SPAWN', message: '', retryable: false } }],
  ])('%s is not tried again', (_, change) => {
    expect(patient().fail(100, change)).toMatchObject({ restart: false, gaveUp: true });
  });

  test.each<[string, Change]>([
    ['an error that nobody has described', { error: { code: 'CORE_UNEXPECTED', message: '', retryable: false } }],
    ['a program that ends with 127 later on', exit(127, 5_000)],
  ])('%s is', (_, change) => {
    expect(patient().fail(100, change)).toMatchObject({ restart: true });
  });

  test.each(['CORE_PROCESS_SPAWN', 'CORE_GPU_QUERY'])('a fault of the machine (%s) is not counted', (code) => {
    const { fail } = patient();
    const decisions = Array.from({ length: 12 }, () => fail(100, { error: { code, message: '', retryable: true } }));
    expect(decisions.map(({ gaveUp }) => gaveUp)).not.toContain(true);
    expect(decisions.at(-1)).toMatchObject({ delayMs: 60_000, reason: expect.stringContaining('not counted') });
  });
});

test.each(['EMFILE', 'EAGAIN', 'ENOSPC'])('what the system is short of (%s) is not counted either', (errno) => {
  const { fail } = patient();
  const cause = { code: 'CORE_UNEXPECTED', message: '', retryable: false, details: { errno } };
  const error = { code: 'CORE_UNEXPECTED', message: 'the start failed', retryable: false, cause };
  const decisions = Array.from({ length: 12 }, () => fail(100, { error }));
  expect(decisions.map(({ gaveUp }) => gaveUp)).not.toContain(true);
});

describe('whether it is restarted', () => {
  const done = { exit: { code: 0, signal: null, at: '', run: '', uptimeMs: 1 } };
  test('follows the definition, and the configuration above that', () => {
    const onFailure = { supervision: { restart: 'on-failure' } } as const;
    expect(patient().fail(1, done).restart).toBe(true);
    expect(patient(onFailure).fail(1, done).restart).toBe(false);
    expect(patient(onFailure).fail(1).restart).toBe(true);
    expect(patient({ ...onFailure, config: { policies: { a: { restart: 'always' } } } }).fail(1, done).restart).toBe(
      true,
    );
    expect(patient({ config: { policies: { a: { restart: 'never' } } } }).fail(1)).toMatchObject({ restart: false });
  });

  const hung = { code: 'WATCHDOG_HUNG', message: 'it hangs', retryable: true };
  test.each([0, 78, 127])('does not follow from exit code %i where the watchdog ended the run', (code) => {
    const exit = { code, signal: null, at: '', run: '', uptimeMs: 100 };
    const { fail } = patient({ supervision: { restart: 'on-failure' } });
    expect(fail(100, { error: hung, exit })).toMatchObject({ restart: true });
  });

  test('is forbidden by the absence of restart_enabled', () => {
    expect(patient({ mayRestart: false }).fail(1)).toMatchObject({ restart: false, gaveUp: true });
  });
});
