import {
  type Clock,
  coreErrors,
  MgpuError,
  type ProbeOutcome,
  type Probes,
  probeFail,
  probeOk,
  type Run,
} from '@mgpu/core';
import fc from 'fast-check';
import { broken } from '../support.ts';

/** How a service behaves from now on, runs under way included. */
export interface Mood {
  /** `deaf`: neither starts nor heeds its signal. */
  readonly start: 'quick' | 'slow' | 'refuses' | 'waits' | 'deaf';
  readonly answer: 'ok' | 'fail' | 'unknown' | 'fatal' | 'silent';
  readonly release: 'quick' | 'slow' | 'throws' | 'hangs' | 'unkillable';
}

export const goodMood: Mood = { start: 'quick', answer: 'ok', release: 'quick' };

export const moodArbitrary: fc.Arbitrary<Partial<Mood>> = fc.oneof(
  fc.record({ start: fc.constantFrom<Mood['start']>('quick', 'slow', 'refuses', 'waits', 'deaf') }),
  fc.record({ answer: fc.constantFrom<Mood['answer']>('ok', 'fail', 'unknown', 'fatal', 'silent') }),
  fc.record({ release: fc.constantFrom<Mood['release']>('quick', 'slow', 'throws', 'hangs', 'unkillable') }),
  fc.constant(goodMood),
);

/** Which probes it has. */
export interface Asked {
  readonly startup: boolean;
  readonly readiness: boolean;
}

export const askedArbitrary: fc.Arbitrary<Asked> = fc.record({ startup: fc.boolean(), readiness: fc.boolean() });

/** How long a release may take, and how long once somebody forces it. */
const limitMs = 30_000;
const forcedMs = 15_000;
const forever = () => new Promise<never>(() => {});

interface Life {
  readonly run: Run;
  isProved: boolean;
  isReleased: boolean;
  /** Since when its release hangs: what takes too long is left behind, and counts no more. */
  hangsSince?: number;
  forcedAt?: number;
}

/** Plays the part of one service, and keeps account of its lives. */
export class Performer {
  mood: Mood = goodMood;
  readonly lives: Life[] = [];
  readonly #clock: Clock;
  readonly #asked: Asked;
  readonly #problem: (text: string) => void;

  constructor(clock: Clock, asked: Asked, problem: (text: string) => void) {
    this.#clock = clock;
    this.#asked = asked;
    this.#problem = problem;
  }

  /** Lives that hold something. */
  get live(): number {
    return this.lives.filter((each) => this.#isLive(each)).length;
  }

  /** Somebody who knows says that this run is ready. */
  prove(run: Run | undefined): void {
    const life = this.lives.findLast((each) => each.run === run);
    if (life) life.isProved = true;
  }

  isProved(run: string): boolean {
    const { startup, readiness } = this.#asked;
    return (!startup && !readiness) || this.lives.some((each) => each.run.id === run && each.isProved);
  }

  async play(run: Run): Promise<void> {
    if (this.live > 0) this.#problem('a run begins before the former one has ended');
    if (run.signal.aborted) this.#problem('a run begins that has ended already');
    const life: Life = { run, isProved: false, isReleased: false };
    this.lives.push(life);
    run.defer(() => this.#release(life));
    run.force.addEventListener('abort', () => {
      life.forcedAt = this.#clock.elapsed();
    });
    const { start } = this.mood;
    if (start === 'refuses') throw broken('it refuses');
    if (start === 'slow') await this.#clock.sleep(3_000, { signal: run.signal });
    if (start === 'waits') await this.#clock.sleep(600_000, { signal: run.signal });
    if (start === 'deaf') await this.#clock.sleep(20_000);
    // What is acquired before it hears of its end is released with the rest, or at once.
    run.defer(() => {});
  }

  probes(run: Run | undefined): Probes {
    const probe = { description: 'its mood', attempt: () => this.#answer(run) };
    return {
      ...(this.#asked.startup ? { startup: { probe, deadlineMs: 20_000, intervalMs: 500 } } : {}),
      ...(this.#asked.readiness ? { readiness: { probe, intervalMs: 20_000, failures: 2 } } : {}),
    };
  }

  async #answer(run: Run | undefined): Promise<ProbeOutcome> {
    const { answer } = this.mood;
    if (answer === 'silent') return forever();
    if (answer === 'unknown') throw new Error('nobody knows');
    if (answer === 'fail') return probeFail('no');
    if (answer === 'fatal') return { outcome: 'fatal', error: broken('never') };
    this.prove(run);
    return probeOk;
  }

  async #release(life: Life): Promise<void> {
    const { release } = this.mood;
    if (release === 'unkillable') throw new coreErrors.UnkillableError({ instance: 'it', pids: [4_711] });
    if (release === 'hangs') {
      life.hangsSince = this.#clock.elapsed();
      return forever();
    }
    if (release === 'slow') await this.#clock.sleep(4_000);
    life.isReleased = true;
    if (release === 'throws') throw broken('it does not let go');
  }

  #isLive({ isReleased, hangsSince, forcedAt }: Life): boolean {
    if (isReleased) return false;
    if (hangsSince === undefined) return true;
    const hurried = forcedAt === undefined ? Number.POSITIVE_INFINITY : Math.max(hangsSince, forcedAt) + forcedMs;
    return this.#clock.elapsed() < Math.min(hangsSince + limitMs, hurried);
  }
}

/** Promises of commands: all must settle, and reject with errors of ours alone. */
export class Commands {
  readonly #problem: (text: string) => void;
  #open = 0;

  constructor(problem: (text: string) => void) {
    this.#problem = problem;
  }

  get open(): number {
    return this.#open;
  }

  watch(what: string, command: () => Promise<unknown>): Promise<unknown> {
    this.#open += 1;
    return command().then(
      (value) => {
        this.#open -= 1;
        return value;
      },
      (error: unknown) => {
        this.#open -= 1;
        if (!(error instanceof MgpuError)) this.#problem(`${what} rejected with ${error}`);
        return error;
      },
    );
  }
}
