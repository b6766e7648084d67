import type { MgpuError } from '../errors/mgpu-error.ts';

/** One GPU of the machine, or what stands in for it. */
export type Gpu = GpuFacts &
  (
    | {
        readonly mode: 'nvidia';
        /** Stable name, e.g. `GPU-5f3c…`. */
        readonly uuid: string;
      }
    | {
        /** `cpu`: engines run on the CPU. `mock`: simulated, engines are simulators. */
        readonly mode: 'cpu' | 'mock';
        readonly uuid?: string;
      }
  );

interface GpuFacts {
  /** Position in PCI bus order, counted from 0; one that is sick keeps its place. */
  readonly index: number;
  readonly name: string;
  /** MiB; 0 when unknown. */
  readonly memoryMiB: number;
  readonly driver?: string;
  readonly pciBusId?: string;
}

/** What this machine has, and what was wrong while finding out. */
export interface GpuInventory {
  readonly gpus: readonly Gpu[];
  /** Set when nvidia-smi failed, or not all it said could be believed: the machine goes on with the rest, degraded. */
  readonly problem?: MgpuError | undefined;
}

/** The index of a GPU that is known, or only named by it. */
export const gpuIndex = (gpu: Gpu | number | undefined) => (typeof gpu === 'object' ? gpu.index : gpu);

/**
 * The environment that makes a process see exactly this GPU: by UUID, never by index; inside it counts in PCI bus
 * order. Without a real GPU nothing is visible.
 */
export function gpuEnvironment(gpu: Gpu): Readonly<Record<string, string>> {
  return { CUDA_DEVICE_ORDER: 'PCI_BUS_ID', CUDA_VISIBLE_DEVICES: gpu.mode === 'nvidia' ? gpu.uuid : '' };
}

/** A virtual GPU: where there is none, or none is to be used. */
export const cpuGpu = (index = 0): Gpu => ({ index, mode: 'cpu', name: 'CPU', memoryMiB: 0 });

/** Simulated GPUs; their UUIDs are the same at every boot. */
export function mockGpus(count: number): Gpu[] {
  return Array.from({ length: count }, (_, index) => ({
    index,
    mode: 'mock' as const,
    uuid: `GPU-00000000-0000-4000-8000-${index.toString(16).padStart(12, '0')}`,
    name: 'Simulated GPU',
    memoryMiB: 24_576,
    driver: '0.0.0',
    pciBusId: `00000000:${(index + 1).toString(16).padStart(2, '0').toUpperCase()}:00.0`,
  }));
}
