import { type Clock, systemClock } from '../clock.ts';
import { Emitter } from '../emitter.ts';
import { GpuQueryError } from '../errors/core-errors.ts';
import { type MgpuError, toMgpuError } from '../errors/mgpu-error.ts';
import { type Logger, silentLogger } from '../logs/logger.ts';
import { cpuGpu, type Gpu, mockGpus } from './gpu.ts';
import { type Believed, type GpuSample, listMs, type NvidiaSmiOptions, queryGpus, sampleGpus } from './nvidia-smi.ts';

/** What the configuration says about GPUs. */
export interface GpuPreference {
  /** How many to use, or `auto` for all there are (in modes without real ones: one). */
  readonly count: number | 'auto';
  /** `auto` asks nvidia-smi and falls back to the CPU. */
  readonly mode: 'auto' | 'nvidia' | 'cpu' | 'mock';
}

/** What this machine has, and what was wrong while finding out. */
export interface GpuInventory {
  readonly gpus: readonly Gpu[];
  /** Set when nvidia-smi failed, or not all it said could be believed: the machine goes on with the rest, degraded. */
  readonly problem?: MgpuError | undefined;
}

export interface GpuMonitorOptions extends Omit<NvidiaSmiOptions, 'signal'> {
  readonly clock?: Clock;
  readonly log?: Logger;
  /** Milliseconds between samples. Default 10,000. */
  readonly intervalMs?: number;
}

export interface GpuMonitorEvents {
  sample: { readonly at: number; readonly gpus: readonly GpuSample[] };
  /** nvidia-smi hung, failed or said something odd. Samples go on. */
  problem: { readonly at: number; readonly error: MgpuError };
}

/** Milliseconds after which a list of GPUs counts as slow. */
const slowMs = 5_000;

/** Asks nvidia-smi for the whole machine, so that nobody else has to: one query in flight, and everyone listens. */
export class GpuMonitor {
  readonly #options: GpuMonitorOptions;
  readonly #events: Emitter<GpuMonitorEvents>;

  constructor(options: GpuMonitorOptions = {}) {
    this.#options = options;
    const log = options.log ?? silentLogger;
    this.#events = new Emitter((event, error) =>
      log.error(`a listener of the GPU monitor's ${event} failed`, { error }),
    );
  }

  on<K extends keyof GpuMonitorEvents>(event: K, listener: (payload: GpuMonitorEvents[K]) => unknown): () => void {
    return this.#events.on(event, listener);
  }

  /**
   * The GPUs to use. In mode `auto` a machine without usable nvidia-smi runs on one virtual GPU, the CPU, and says why;
   * in mode `nvidia` that is an error. A count above what is there is one, too (both `CORE_GPU_QUERY`), unless some of
   * the GPUs could not be read: then it is those that can. Takes at most `timeoutMs`, warning the log after 5 s.
   */
  async inventory({ count, mode }: GpuPreference, { signal }: { signal?: AbortSignal } = {}): Promise<GpuInventory> {
    const wanted = count === 'auto' ? 1 : count;
    if (mode === 'mock') return { gpus: mockGpus(wanted) };
    if (mode === 'cpu') return { gpus: Array.from({ length: wanted }, (_, index) => cpuGpu(index)) };
    const { program = 'nvidia-smi' } = this.#options;
    const refusal = (problem: string) => new GpuQueryError({ program, problem });
    let listed: Believed<Gpu> | undefined;
    try {
      listed = await this.#list(signal);
    } catch (error) {
      signal?.throwIfAborted();
      if (mode === 'nvidia') throw error;
      return { gpus: [cpuGpu()], problem: toMgpuError(error, program) };
    }
    const { rows: gpus = [], problem } = listed ?? {};
    if (gpus.length === 0) {
      const none = refusal(`${listed ? 'lists no GPU' : 'is not installed'} where the configuration wants ${wanted}`);
      if (mode === 'nvidia') throw none;
      // One is what the predecessors, too, counted on a machine without GPUs.
      return { gpus: [cpuGpu()], ...(wanted > 1 ? { problem: none } : {}) };
    }
    if (wanted > gpus.length && !problem)
      throw refusal(`lists ${gpus.length} GPUs where the configuration wants ${wanted}`);
    return { gpus: count === 'auto' ? gpus : gpus.slice(0, count), ...(problem ? { problem } : {}) };
  }

  async #list(signal: AbortSignal | undefined): Promise<Believed<Gpu> | undefined> {
    const { clock = systemClock, log = silentLogger, program = 'nvidia-smi', timeoutMs = listMs } = this.#options;
    const answered = new AbortController();
    const text = `${program} is slow to list the GPUs: waiting up to ${timeoutMs / 1_000} s`;
    clock.sleep(slowMs, { signal: answered.signal }).then(
      () => log.warn(text, { hint: 'persistence mode makes it fast: nvidia-smi -pm 1' }),
      () => {}, // answered
    );
    try {
      return await queryGpus({ ...this.#options, timeoutMs, signal });
    } finally {
      answered.abort();
    }
  }

  /** Samples until the signal fires. A failed query is reported and tried again at the next interval. */
  async watch(signal: AbortSignal): Promise<void> {
    const { clock = systemClock, intervalMs = 10_000 } = this.#options;
    while (!signal.aborted) {
      try {
        const { rows: gpus, problem } = await sampleGpus({ ...this.#options, signal });
        this.#events.emit('sample', { at: clock.now(), gpus });
        if (problem) this.#events.emit('problem', { at: clock.now(), error: problem });
      } catch (error) {
        if (!signal.aborted) this.#events.emit('problem', { at: clock.now(), error: toMgpuError(error, 'nvidia-smi') });
      }
      await clock.sleep(intervalMs, { signal }).catch(() => {}); // aborted: the loop ends
    }
  }
}
