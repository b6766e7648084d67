/** `retried`: the attempt failed, and the job is tried again. */
export type AttemptOutcome = 'completed' | 'failed' | 'cancelled' | 'retried';

/** Seconds that the classes of durations end at. */
export const durationBounds = [0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600] as const;

/** Attempts at jobs of one type on one engine that ended in the same way. */
export interface AttemptTotals {
  readonly type: string;
  /** Instance id. */
  readonly engine: string;
  readonly outcome: AttemptOutcome;
  readonly count: number;
  /** Of all together, from being taken to the end. */
  readonly seconds: number;
  /** How many took at most as long as each of `durationBounds` says, in that order. */
  readonly withinBounds: readonly number[];
}

/** How long an engine had nothing to do though a job was waiting for it. */
export interface IdleTotals {
  /** Instance id. */
  readonly engine: string;
  /** Pauses between two jobs. */
  readonly count: number;
  readonly seconds: number;
}

/** What became of the work that somebody passed on, since it began to count. */
export interface WorkTotals {
  readonly attempts: readonly AttemptTotals[];
  readonly idle: readonly IdleTotals[];
}
