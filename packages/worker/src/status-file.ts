import { rename, rm, writeFile } from 'node:fs/promises';
import type { Clock, JobProgress, Logger, WorkTotals } from '@mgpu/core/jobs';
import type { EngineFault } from './engine-gate.ts';
import { pause } from './pause.ts';

/** What a worker says about itself in `run/<id>.status.json`, for whoever watches over it. */
export interface WorkerStatus {
  readonly v: 1;
  /** Milliseconds since the epoch; written anew every 2 s as long as the worker is alive. */
  readonly beat: number;
  readonly pid: number;
  readonly state: 'starting' | 'running' | 'draining';
  readonly redis: { readonly state: 'connecting' | 'connected' | 'unreachable'; readonly problem?: string };
  readonly engines: readonly EngineStatus[];
  readonly jobs: readonly JobInHand[];
  /** Since the process began; of a worker that is older there are none. */
  readonly totals?: WorkTotals;
}

export interface EngineStatus {
  /** Instance id, e.g. `comfyui_gpu0`. */
  readonly engine: string;
  readonly kind: string;
  readonly types: readonly string[];
  readonly ready: boolean;
  /** Why it is not ready. */
  readonly reason?: string;
  /** When it last broke over a job; gone with the next job that succeeds. */
  readonly fault?: EngineFault;
}

export interface JobInHand {
  readonly id: string;
  readonly engine: string;
  readonly attempt: number;
  /** ISO time. */
  readonly since: string;
  /** ISO time of the last sign of progress; `since` when there was none yet. */
  readonly progressAt: string;
  readonly progress?: JobProgress;
}

export const statusFile = (runDir: string, instance: string) => `${runDir}/${instance}.status.json`;

const beatMs = 2_000;
const gapMs = 20;
const temporary = (path: string) => `${path}.tmp`;

export async function removeStatus(path: string): Promise<void> {
  await Promise.all([rm(path, { force: true }), rm(temporary(path), { force: true })]);
}

/**
 * Keeps the status file true: written every 2 s and shortly after each change that it is told of; progress waits for the
 * next beat. Whole or not at all, but not synced.
 */
export class StatusWriter {
  readonly #path: string;
  readonly #status: () => Omit<WorkerStatus, 'v' | 'beat' | 'pid'>;
  readonly #clock: Clock;
  readonly #log: Logger;
  #changed = Promise.withResolvers<void>();

  constructor(options: {
    path: string;
    status: () => Omit<WorkerStatus, 'v' | 'beat' | 'pid'>;
    clock: Clock;
    log: Logger;
  }) {
    this.#path = options.path;
    this.#status = options.status;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  /** Something changed. */
  touch(): void {
    this.#changed.resolve();
  }

  /** Writes until the signal fires. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#changed = Promise.withResolvers();
      await this.#write();
      await pause(this.#clock, beatMs, { until: this.#changed.promise, signal });
      await this.#clock.sleep(gapMs, { signal }).catch(() => {}); // aborted: the loop ends
    }
  }

  async #write(): Promise<void> {
    const status: WorkerStatus = { v: 1, beat: this.#clock.now(), pid: process.pid, ...this.#status() };
    try {
      await writeFile(temporary(this.#path), `${JSON.stringify(status)}\n`, { mode: 0o600 });
      await rename(temporary(this.#path), this.#path);
    } catch (error) {
      // A full disk must not end the jobs; whoever reads sees that the beat stands still.
      this.#log.error(`${this.#path} could not be written`, { error });
    }
  }
}
