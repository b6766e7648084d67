import { abortable, type Clock, type Connector, deadline, type ErrorReport, reportError } from '@mgpu/core/jobs';
import { pause } from './pause.ts';

export interface EngineGateOptions {
  readonly connector: Connector;
  readonly engine: string;
  readonly clock: Clock;
  /** Whether jobs are running: an engine at work is not asked how it is. */
  readonly isBusy: () => boolean;
  readonly onChange: () => void;
}

/** A time at which the engine broke, and the job it was working on. */
export interface EngineFault {
  /** ISO time. */
  readonly at: string;
  readonly job: string;
  readonly error: ErrorReport;
}

const trustMs = 1_000;
const answerMs = 2_000;
const idleCheckMs = 2_000;
const retryMs = 1_000;
const maxPauseMs = 60_000;

/**
 * Whether the engine takes jobs. Closed until its connector says ready, after a fault, and when it does not answer
 * while nothing runs; jobs meanwhile stay in the queue, for others.
 */
export class EngineGate {
  readonly #options: EngineGateOptions;
  #opened = Promise.withResolvers<void>();
  #doubt = Promise.withResolvers<void>();
  #isOpen = false;
  #seenAt = Number.NEGATIVE_INFINITY;
  #reason: string;
  #fault: EngineFault | undefined;
  /** Since a job last succeeded or the engine was away. */
  #faultsInRow = 0;
  #blamed: { readonly at: number; readonly job: string } | undefined;

  constructor(options: EngineGateOptions) {
    this.#options = options;
    this.#reason = `${options.engine} is not ready yet`;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Why it is closed. */
  get reason(): string | undefined {
    return this.#isOpen ? undefined : this.#reason;
  }

  /** The last fault since which no job succeeded. */
  get fault(): EngineFault | undefined {
    return this.#fault;
  }

  async whenOpen(signal: AbortSignal): Promise<void> {
    while (!this.#isOpen) await abortable(this.#opened.promise, signal);
  }

  /**
   * The engine broke over what was in it. Answers which job is to blame: `suspect`, or the one that was blamed already
   * when this is another report of the same break, made by a job that had been in the engine then (`since`: monotonic).
   */
  reportFault(since: number, suspect: string, error: ErrorReport): string {
    const { clock } = this.#options;
    if (this.#blamed && since <= this.#blamed.at) return this.#blamed.job;
    // Broken under one job, it answered all the time and nothing succeeded: it is broken still, and this job is not the cause.
    const cause = this.#blamed && this.#faultsInRow > 0 ? this.#blamed.job : suspect;
    this.#blamed = { at: clock.elapsed(), job: cause };
    this.#fault = { at: new Date(clock.now()).toISOString(), job: cause, error };
    this.#faultsInRow += 1;
    this.#close(error.message);
    return cause;
  }

  /** A job failed in a way that the engine's watcher should know of; the engine goes on taking jobs. */
  reportTrouble(job: string, error: ErrorReport): void {
    const { clock, onChange } = this.#options;
    this.#fault = { at: new Date(clock.now()).toISOString(), job, error };
    onChange();
  }

  reportSuccess(): void {
    this.#seenAt = this.#options.clock.elapsed();
    this.#faultsInRow = 0;
    if (!this.#fault) return;
    this.#fault = undefined;
    this.#options.onChange();
  }

  /** Whether it still answers; asked before the first job after a pause. */
  async confirm(signal: AbortSignal): Promise<boolean> {
    const { clock, isBusy } = this.#options;
    if (!this.#isOpen) return false;
    return isBusy() || clock.elapsed() - this.#seenAt < trustMs || this.#answers(signal);
  }

  /** Keeps asking until the signal fires. */
  async watch(signal: AbortSignal): Promise<void> {
    const { connector, clock, engine } = this.#options;
    while (!signal.aborted) {
      try {
        await abortable(connector.ready(signal), signal);
        this.#open();
        await this.#untilDoubt(signal);
        // An engine that is broken and still answers gets its next job ever later, while others take what waits.
        if (this.#faultsInRow > 0 && (await this.#answers(signal)))
          await clock.sleep(Math.min(retryMs * 2 ** (this.#faultsInRow - 1), maxPauseMs), { signal });
      } catch (error) {
        if (signal.aborted) return;
        this.#close(`${engine} is not ready: ${reportError(error).message}`);
        await clock.sleep(retryMs, { signal }).catch(() => {}); // aborted: the loop ends
      }
    }
  }

  async #untilDoubt(signal: AbortSignal): Promise<void> {
    const { clock, isBusy } = this.#options;
    while (this.#isOpen && !signal.aborted) {
      await pause(clock, idleCheckMs, { until: this.#doubt.promise, signal });
      if (this.#isOpen && !isBusy() && !signal.aborted) await this.#answers(signal);
    }
  }

  /** Closes when it does not. */
  async #answers(signal: AbortSignal): Promise<boolean> {
    const { connector, clock, engine } = this.#options;
    using limit = deadline(clock, answerMs, () => new DOMException(`${engine} did not answer`, 'TimeoutError'), signal);
    try {
      await abortable(connector.ready(limit.signal), limit.signal);
      this.#seenAt = clock.elapsed();
      return true;
    } catch {
      if (signal.aborted) return false;
      // Whatever it was, the engine cannot be trusted with a job now; when it is back it is another one.
      this.#faultsInRow = 0;
      this.#close(`${engine} does not answer`);
      return false;
    }
  }

  #open(): void {
    this.#seenAt = this.#options.clock.elapsed();
    this.#isOpen = true;
    this.#doubt = Promise.withResolvers();
    this.#opened.resolve();
    this.#options.onChange();
  }

  #close(reason: string): void {
    const changed = this.#isOpen || this.#reason !== reason;
    this.#reason = reason;
    if (this.#isOpen) this.#opened = Promise.withResolvers();
    this.#isOpen = false;
    this.#doubt.resolve();
    if (changed) this.#options.onChange();
  }
}
