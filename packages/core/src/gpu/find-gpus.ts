import { type Clock, systemClock } from '../clock.ts';
import { GpuQueryError } from '../errors/core-errors.ts';
import { toMgpuError } from '../errors/mgpu-error.ts';
import { type Logger, silentLogger } from '../logs/logger.ts';
import { cpuGpu, type GpuInventory, mockGpus } from './gpu.ts';
import { listMs, type NvidiaSmiOptions, queryGpus } from './nvidia-smi.ts';

/** What the configuration says about GPUs. */
export interface GpuPreference {
  /** How many to use, or `auto` for all there are (in modes without real ones: one). */
  readonly count: number | 'auto';
  /** `auto` asks nvidia-smi and falls back to the CPU. */
  readonly mode: 'auto' | 'nvidia' | 'cpu' | 'mock';
}

export interface FindGpusOptions extends NvidiaSmiOptions {
  readonly clock?: Clock;
  readonly log?: Logger;
}

/** Milliseconds after which a list of GPUs counts as slow. */
const slowMs = 5_000;

/**
 * The GPUs to use. In mode `auto` a machine without usable nvidia-smi runs on one virtual GPU, the CPU, and says why;
 * in mode `nvidia` that is an error. A count above what is there is one, too (both `CORE_GPU_QUERY`), unless some of
 * the GPUs could not be read: then it is those that can. Takes at most `timeoutMs`, warning the log after 5 s.
 */
export async function findGpus({ count, mode }: GpuPreference, options: FindGpusOptions = {}): Promise<GpuInventory> {
  const { program = 'nvidia-smi', signal } = options;
  const wanted = count === 'auto' ? 1 : count;
  if (mode === 'mock') return { gpus: mockGpus(wanted) };
  if (mode === 'cpu') return { gpus: Array.from({ length: wanted }, (_, index) => cpuGpu(index)) };
  const refusal = (problem: string) => new GpuQueryError({ program, problem });
  let listed: GpuInventory | undefined;
  try {
    listed = await list(options);
  } catch (error) {
    signal?.throwIfAborted();
    if (mode === 'nvidia') throw error;
    return { gpus: [cpuGpu()], problem: toMgpuError(error, program) };
  }
  const { gpus = [], problem } = listed ?? {};
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

async function list(options: FindGpusOptions): Promise<GpuInventory | undefined> {
  const { clock = systemClock, log = silentLogger, program = 'nvidia-smi', timeoutMs = listMs } = options;
  const answered = new AbortController();
  const text = `${program} is slow to list the GPUs: waiting up to ${timeoutMs / 1_000} s`;
  clock.sleep(slowMs, { signal: answered.signal }).then(
    () => log.warn(text, { hint: 'persistence mode makes it fast: nvidia-smi -pm 1' }),
    () => {}, // answered
  );
  try {
    return await queryGpus({ ...options, timeoutMs });
  } finally {
    answered.abort();
  }
}
