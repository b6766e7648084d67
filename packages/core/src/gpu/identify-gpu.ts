import { GpuOutOfRangeError } from '../errors/core-errors.ts';
import { cpuGpu, type Gpu } from './gpu.ts';
import { queryGpus } from './nvidia-smi.ts';

/** The GPU behind an index, by asking nvidia-smi; on a machine without one, index 0 is the CPU. */
export async function identifyGpu(gpu: Gpu | number | undefined, signal?: AbortSignal): Promise<Gpu | undefined> {
  if (typeof gpu !== 'number') return gpu;
  const listed = (await queryGpus({ signal })) ?? [];
  const gpus = listed.length > 0 ? listed : [cpuGpu()];
  const found = gpus.find(({ index }) => index === gpu);
  if (!found) throw new GpuOutOfRangeError({ gpus: [gpu], count: gpus.length });
  return found;
}
