import type { JobProgress, MgpuError } from '@mgpu/core/jobs';
import type { TakenJob } from './queue.ts';

/** One job on its way through the engine. */
export class RunningJob {
  readonly taken: TakenJob;
  /** Monotonic milliseconds. */
  readonly startedAt: number;
  readonly #abort = new AbortController();
  progress: JobProgress | undefined;

  constructor(taken: TakenJob, startedAt: number) {
    this.taken = taken;
    this.startedAt = startedAt;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Only the first reason counts. */
  abort(reason: MgpuError): void {
    this.#abort.abort(reason);
  }
}
