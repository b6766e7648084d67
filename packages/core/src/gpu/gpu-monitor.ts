import { type Clock, systemClock } from '../clock.ts';
import { Emitter } from '../emitter.ts';
import { GpuQueryError } from '../errors/core-errors.ts';
import { type MgpuError, toMgpuError } from '../errors/mgpu-error.ts';
import { type Logger, silentLogger } from '../logs/logger.ts';
import { cpuGpu, type Gpu, mockGpus } from './gpu.ts';
import { type GpuSample, type NvidiaSmiOptions, queryGpus, sampleGpus } from './nvidia-smi.ts';

/** What the configuration says about GPUs. */
export interface GpuPreference {
  /** How many to use, or `auto` for all there are. */
  readonly count: number | 'auto';
  /** `auto` asks nvidia-smi and falls back to the CPU. */
  readonly mode: 'auto' | 'nvidia' | 'cpu' | 'mock';
}

/** What this machine has, and what was wrong while finding out. */
export interface GpuInventory {
  readonly gpus: readonly Gpu[];
  /** Set when nvidia-smi is there but could not be believed: the machine goes on, degraded. */
  readonly problem?: MgpuError;
}

export interface GpuMonitorOptions extends NvidiaSmiOptions {
  readonly clock?: Clock;
  readonly log?: Logger;
  /** Milliseconds between samples. Default 10,000. */
  readonly intervalMs?: number;
}

export interface GpuMonitorEvents {
  sample: { readonly at: number; readonly gpus: readonly GpuSample[] };
  /** nvidia-smi hung or lied. Samples go on. */
  problem: { readonly at: number; readonly error: MgpuError };
}

/** The only one who asks nvidia-smi: one query in flight, killed after 5 s, and everyone else listens. */
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
   * The GPUs to use. In mode `auto` a machine without usable nvidia-smi runs on the CPU and says why; in mode `nvidia`
   * that is an error, and so is a count above what is there (`CORE_GPU_QUERY`).
   */
  async inventory({ count, mode }: GpuPreference): Promise<GpuInventory> {
    if (mode === 'mock') return { gpus: mockGpus(count === 'auto' ? 1 : count) };
    const virtual = Array.from({ length: count === 'auto' ? 1 : count }, (_, index) => cpuGpu(index));
    if (mode === 'cpu') return { gpus: virtual };
    const program = this.#options.program ?? 'nvidia-smi';
    let found: Gpu[] | undefined;
    try {
      found = await queryGpus(this.#options);
    } catch (error) {
      if (mode === 'nvidia') throw error;
      return { gpus: virtual, problem: toMgpuError(error, program) };
    }
    if (found === undefined || found.length === 0) {
      if (mode === 'auto') return { gpus: virtual };
      throw new GpuQueryError({ program, problem: found ? 'lists no GPU' : 'is not installed' });
    }
    if (count === 'auto') return { gpus: found };
    if (count <= found.length) return { gpus: found.slice(0, count) };
    throw new GpuQueryError({ program, problem: `lists ${found.length} GPUs where the configuration wants ${count}` });
  }

  /** Samples until the signal fires. A failed query is reported and tried again at the next interval. */
  async watch(signal: AbortSignal): Promise<void> {
    const { clock = systemClock, intervalMs = 10_000 } = this.#options;
    while (!signal.aborted) {
      try {
        const gpus = await sampleGpus({ ...this.#options, signal });
        if (!signal.aborted) this.#events.emit('sample', { at: clock.now(), gpus });
      } catch (error) {
        if (!signal.aborted) this.#events.emit('problem', { at: clock.now(), error: toMgpuError(error, 'nvidia-smi') });
      }
      await clock.sleep(intervalMs, { signal }).catch(() => {}); // aborted: the loop ends
    }
  }
}
