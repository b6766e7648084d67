import type { Clock } from '@mgpu/core/jobs';
import type { RunningJob } from './running-job.ts';

/** Jobs that are done within this can wait in the engine's own queue without anybody noticing. */
const soonMs = 1_000;
const almostPercent = 90;

/**
 * Whether a worker may take a further job while it has one. The engine must not wait between two jobs; but a job taken
 * ahead of time waits for this engine, and would wait long behind a long one while another GPU falls idle. So: only
 * when what runs is going to end soon.
 */
export class Prefetch {
  readonly #clock: Clock;
  /** How long recent attempts took, smoothed; undefined before the first. */
  #typicalMs: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  learn({ startedAt }: RunningJob): void {
    const ms = this.#clock.elapsed() - startedAt;
    this.#typicalMs = this.#typicalMs === undefined ? ms : this.#typicalMs * 0.8 + ms * 0.2;
  }

  allows(running: Iterable<RunningJob>): boolean {
    return [...running].every(({ startedAt, progress }) => {
      if ((progress?.percent ?? 0) >= almostPercent) return true;
      const ms = this.#clock.elapsed() - startedAt;
      return this.#typicalMs !== undefined && this.#typicalMs < soonMs && ms < soonMs;
    });
  }
}
