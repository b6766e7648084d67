import { type Clock, type ErrorReport, type Logger, reportError, type SupervisedInstance } from '@mgpu/core';
import { VramHeldError, VramUncheckedError } from './errors.ts';
import type { FaultLadder } from './fault-ladder.ts';
import type { Feeders } from './feeders.ts';
import type { GpuMemorySample } from './rules/gpu-memory.ts';
import { vramHeld } from './rules/vram-held.ts';

export interface VramGuardOptions {
  readonly feeders: Feeders;
  readonly ladder: FaultLadder;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** MiB; `off`: whatever is held. */
  readonly toleratedMiB: number | 'off';
  /** Who has memory of a GPU, asked for now; undefined where that cannot be told. */
  readonly memoryOf: (gpu: string) => Promise<GpuMemorySample | undefined>;
}

const hold = 'vram';
/** Milliseconds that a restart waits for an answer: without one it is done. */
const patienceMs = 5_000;
/** Milliseconds before a restart is due at which that is asked. */
const leadMs = 1_000;
/** Milliseconds between two looks while memory is held. */
const againMs = 5_000;

/** Keeps an engine that failed from being started on a GPU whose memory is not free again. Ends nobody's process. */
export class VramGuard {
  readonly #options: VramGuardOptions;
  /** Who had memory of its GPU when the last run of an instance began. */
  readonly #before = new Map<string, GpuMemorySample>();
  /** Those that wait. */
  readonly #waits = new Map<string, AbortController>();

  constructor(options: VramGuardOptions) {
    this.#options = options;
  }

  /** A run begins: whoever has memory by now keeps it. */
  async began(instance: SupervisedInstance): Promise<void> {
    const { id, gpu, status } = instance;
    this.letGo(id);
    this.#before.delete(id);
    if (gpu?.mode !== 'nvidia' || this.#options.toleratedMiB === 'off') return;
    const sample = await this.#options.memoryOf(gpu.uuid);
    if (sample && instance.status.run === status.run) this.#before.set(id, sample);
  }

  /**
   * It failed and is to be started again in `delayMs`: by then it waits for one answer at least, and as long as memory is
   * held.
   */
  async failed(instance: SupervisedInstance, delayMs: number): Promise<void> {
    const { feeders, ladder, clock, log, toleratedMiB } = this.#options;
    const { id } = instance;
    const before = this.#before.get(id);
    // Whoever feeds an engine takes no memory of its GPU.
    if (before === undefined || toleratedMiB === 'off' || feeders.of().some((each) => each.id === id)) return;
    const rule = vramHeld({ instance: id, toleratedMiB });
    const group = `memory for ${id}`;
    const over = new AbortController();
    const signal = AbortSignal.any([this.#options.signal, over.signal]);
    this.#waits.set(id, over);
    try {
      if (delayMs > leadMs) await clock.sleep(delayMs - leadMs, { signal });
      this.#hold(instance, reportError(new VramUncheckedError({ instance: id })));
      for (let told = ''; ; await clock.sleep(againMs, { signal })) {
        const now = await this.#memoryOf(before.gpu, signal);
        // What is known to be held is not free for want of an answer.
        if (now === undefined && told !== '') continue;
        if (now === undefined) {
          log.warn(`${id} is not kept waiting: nvidia-smi does not say who has memory of its GPU`);
          return;
        }
        const [verdict] = rule([before, now]);
        ladder.stands(group, verdict ? [verdict] : []);
        if (!verdict) return;
        const { reason, hint: cure } = verdict;
        if (reason !== told) this.#hold(instance, reportError(new VramHeldError({ reason, cure })));
        told = reason;
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      ladder.forget(group);
      if (this.#waits.get(id) === over) this.#waits.delete(id);
      instance.release(hold);
    }
  }

  /** It is not wanted any more, or to be started all the same. */
  letGo(id: string): void {
    this.#waits.get(id)?.abort();
  }

  #hold(instance: SupervisedInstance, reason: ErrorReport): void {
    instance.hold(hold, reason).catch((error: unknown) => {
      this.#options.log.error(`${instance.id} could not be stopped`, { error });
    });
  }

  /** Undefined also when there is no answer in time. */
  async #memoryOf(gpu: string, signal: AbortSignal): Promise<GpuMemorySample | undefined> {
    const { clock, memoryOf } = this.#options;
    const answered = new AbortController();
    const late = clock.sleep(patienceMs, { signal: AbortSignal.any([signal, answered.signal]) });
    try {
      return await Promise.race([memoryOf(gpu), late.then(() => undefined)]);
    } finally {
      answered.abort();
    }
  }
}
