import type { Fleet } from '@mgpu/comfyui/setup';
import { type FindGpusOptions, findGpus, type GpuPreference } from '@mgpu/core';

/** Of a machine none of whose engines runs what is installed. */
export const noFleet: Fleet = { engines: async () => [], move: async () => {} };

/** What torch is to run on. */
export async function torchMode(preference: GpuPreference, options: FindGpusOptions): Promise<'nvidia' | 'cpu'> {
  const { gpus } = await findGpus(preference, options);
  return gpus.some(({ mode }) => mode === 'nvidia') ? 'nvidia' : 'cpu';
}
