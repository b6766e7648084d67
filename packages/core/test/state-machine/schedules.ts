import type { Clock } from '@mgpu/core';
import type { FakeClock } from '@mgpu/core/testing';
import fc from 'fast-check';
import { expect } from 'vitest';

/** How much happens between a step and the next. */
export type Pause = 'nothing' | 'a microtask' | 'what follows';

export const pauseArbitrary: fc.Arbitrary<Pause> = fc.constantFrom('what follows', 'nothing', 'a microtask');

export const passArbitrary = fc.record({
  do: fc.constant('pass' as const),
  ms: fc.constantFrom(1, 500, 1_000, 5_000, 16_000, 31_000, 120_000),
});

/** Collects what must not be. */
export class Problems {
  readonly #texts: string[] = [];

  readonly tell = (text: string): void => void this.#texts.push(text);

  expectNone(): void {
    expect(this.#texts).toEqual([]);
  }
}

/** A clock that notices when somebody goes round in circles without ever giving way. */
export function patientClock(clock: FakeClock, problem: (text: string) => void): FakeClock {
  const most = 20_000;
  let asked = 0;
  const count = () => {
    if (asked === 0) {
      setImmediate(() => {
        asked = 0;
      });
    }
    asked += 1;
    if (asked <= most) return;
    const text = 'it goes round in circles';
    problem(text);
    throw new Error(text);
  };
  return {
    now: () => clock.now(),
    elapsed: () => {
      count();
      return clock.elapsed();
    },
    sleep: async (ms, options) => {
      count();
      await clock.sleep(ms, options);
    },
    advance: (ms) => clock.advance(ms),
    get sleepers() {
      return clock.sleepers;
    },
  };
}

/** The clock of somebody who may die: then it wakes nobody any more. */
export function mortalClock(clock: Clock): Clock & { readonly sleepers: number; die(): void } {
  let isDead = false;
  let sleepers = 0;
  return {
    now: () => clock.now(),
    elapsed: () => clock.elapsed(),
    sleep: (ms, options) => {
      sleepers += 1;
      const wake =
        <T>(settle: (value: T) => void) =>
        (value: T) => {
          sleepers -= 1;
          if (!isDead) settle(value);
        };
      return new Promise((resolve, reject) => void clock.sleep(ms, options).then(wake(resolve), wake(reject)));
    },
    get sleepers() {
      return sleepers;
    },
    die: () => {
      isDead = true;
    },
  };
}

export async function pause(how: Pause): Promise<void> {
  if (how === 'a microtask') await Promise.resolve();
  if (how === 'what follows') for (let n = 0; n < 3; n++) await new Promise((resolve) => setImmediate(resolve));
}

/**
 * Tries random schedules: as many as `MGPU_SCHEDULES` says, or a few. What fails is told as the shortest schedule that
 * still does, with the seed of them all: `MGPU_SEED` tries the same ones again.
 */
export async function tryAll<T>(
  schedules: fc.Arbitrary<T>,
  few: number,
  play: (schedule: T) => Promise<void>,
): Promise<void> {
  const { MGPU_SCHEDULES, MGPU_SEED } = process.env;
  await fc.assert(fc.asyncProperty(schedules, play), {
    numRuns: MGPU_SCHEDULES ? Number(MGPU_SCHEDULES) : few,
    ...(MGPU_SEED ? { seed: Number(MGPU_SEED) } : {}),
  });
}

/** Time for the long form. */
export const patienceMs = 3_600_000;
