import { randomUUID } from 'node:crypto';
import type { MgpuError } from '../errors/mgpu-error.ts';
import type { ProcessExit } from '../process/spawn.ts';
import type { Health } from './types.ts';

export type Cleanup = () => unknown;

/** One life of an instance between start and stop, as a service sees it. */
export interface Run {
  /** UUID; every process of the run carries it in `MGPU_RUN`. */
  readonly id: string;
  /** Fires when the run is to end: stopped, cancelled or failed. */
  readonly signal: AbortSignal;
  /** Fires when whoever stops it lost patience. */
  readonly force: AbortSignal;
  /** Registers the release of what was just acquired. Last in, first out; at once when the run has ended already. */
  defer(cleanup: Cleanup): void;
  /** The run died: everything is released, the state becomes failed. */
  fail(error: MgpuError): void;
  /** A run that is meant to end did so: everything is released, the state becomes completed. */
  complete(): void;
  /** Says how it fares while it runs. */
  setHealth(health: Health, reason?: string): void;
  /** Reports the end of the run's process. */
  reportExit(exit: ProcessExit): void;
}

/** How a run came to its end. */
export type RunEnd =
  | { readonly state: 'stopped' | 'completed' }
  | { readonly state: 'failed'; readonly error: MgpuError };

export interface RunHooks {
  readonly onEnd: (end: RunEnd) => void;
  readonly onHealth: (health: Health, reason?: string) => void;
  readonly onExit: (exit: ProcessExit) => void;
  /** A release that was registered too late to be waited for went wrong. */
  readonly onLateProblem: (error: unknown) => void;
}

/** The scope of a run: what it acquired and how it is released. Only the first end counts. */
export class RunScope implements Run {
  readonly id = randomUUID();
  /** Monotonic milliseconds. */
  readonly startedAt: number;
  readonly #abort = new AbortController();
  readonly #force = new AbortController();
  readonly #hooks: RunHooks;
  #cleanups: Cleanup[] = [];
  #unwound = false;
  end: RunEnd | undefined;

  constructor(startedAt: number, hooks: RunHooks) {
    this.startedAt = startedAt;
    this.#hooks = hooks;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get force(): AbortSignal {
    return this.#force.signal;
  }

  defer(cleanup: Cleanup): void {
    if (this.#unwound) void Promise.resolve().then(cleanup).catch(this.#hooks.onLateProblem);
    else this.#cleanups.push(cleanup);
  }

  fail(error: MgpuError): void {
    this.finish({ state: 'failed', error }, error);
  }

  complete(): void {
    this.finish({ state: 'completed' }, new Error('completed'));
  }

  setHealth(health: Health, reason?: string): void {
    if (!this.end) this.#hooks.onHealth(health, reason);
  }

  reportExit(exit: ProcessExit): void {
    this.#hooks.onExit(exit);
  }

  hurry(): void {
    this.#force.abort();
  }

  finish(end: RunEnd, reason: unknown): void {
    if (this.end) return;
    this.end = end;
    this.#abort.abort(reason);
    this.#hooks.onEnd(end);
  }

  /** Releases everything; returns what went wrong doing so. */
  async unwind(): Promise<unknown[]> {
    const problems: unknown[] = [];
    for (let cleanup = this.#cleanups.pop(); cleanup; cleanup = this.#cleanups.pop()) {
      try {
        await cleanup();
      } catch (error) {
        problems.push(error);
      }
    }
    this.#unwound = true;
    return problems;
  }
}
