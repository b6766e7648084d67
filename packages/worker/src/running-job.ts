import type { JobProgress, MgpuError } from '@mgpu/core/jobs';
import type { TakenJob } from './queue.ts';

/** One job on its way through the engine. */
export class RunningJob {
  readonly taken: TakenJob;
  /** Monotonic milliseconds. */
  readonly startedAt: number;
  readonly #abort = new AbortController();
  #progress: { readonly value: JobProgress; readonly at: number } | undefined;

  constructor(taken: TakenJob, startedAt: number) {
    this.taken = taken;
    this.startedAt = startedAt;
  }

  get progress(): JobProgress | undefined {
    return this.#progress?.value;
  }

  /** Milliseconds since the epoch: of the last sign of progress, or of its beginning. */
  get progressAt(): number {
    return this.#progress?.at ?? this.taken.takenAt;
  }

  /** `at`: milliseconds since the epoch. */
  report(value: JobProgress, at: number): void {
    this.#progress = { value, at };
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Only the first reason counts. */
  abort(reason: MgpuError): void {
    this.#abort.abort(reason);
  }
}
