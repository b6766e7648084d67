import { GpuOutOfRangeError } from '../errors/core-errors.ts';
import { cpuGpu, type Gpu } from './gpu.ts';
import { type NvidiaSmiOptions, queryGpus } from './nvidia-smi.ts';

/** For a service used alone: the GPU behind an index, by asking nvidia-smi. Without any GPU, index 0 is the CPU. */
export async function identifyGpu(
  gpu: Gpu | number | undefined,
  options: Pick<NvidiaSmiOptions, 'signal' | 'env'>,
): Promise<Gpu | undefined> {
  if (typeof gpu !== 'number') return gpu;
  const { gpus: listed = [], problem } = (await queryGpus(options)) ?? {};
  const gpus = listed.length > 0 ? listed : [cpuGpu()];
  const found = gpus.find(({ index }) => index === gpu);
  if (!found)
    throw new GpuOutOfRangeError(
      { gpus: [gpu], known: gpus.map(({ index }) => index), problem: problem?.message },
      { cause: problem },
    );
  return found;
}
