import { seededHex } from '../random.ts';
import type { GpuSimulation } from './script.ts';

export interface SimulatedGpu {
  readonly index: number;
  readonly uuid: string;
  readonly name: string;
  readonly busId: string;
  readonly memoryMiB: number;
  readonly memoryUsedMiB: number;
  readonly temperatureC: number;
  readonly utilizationPercent: number;
  readonly hasEcc: boolean;
  readonly eccUncorrected: number;
  readonly remapPending: boolean;
  readonly remapFailed: boolean;
  readonly slowdowns: readonly string[];
  readonly unreadable: string | undefined;
}

/** The GPUs of a simulation; uuids depend on seed and position only. */
export function simulatedGpus(simulation: GpuSimulation): SimulatedGpu[] {
  const { faults, processes } = simulation;
  const count = Math.min(simulation.count, faults.onlyFirst ?? simulation.count);
  return Array.from({ length: count }, (_, index) => {
    const own = simulation.gpus[index] ?? {};
    const used = processes
      .filter((process) => process.gpu === index)
      .reduce((sum, process) => sum + process.memoryMiB, 0);
    return {
      index,
      uuid: uuidOf(simulation, faults.duplicateUuid ? 0 : index),
      name: own.name ?? simulation.name,
      busId: own.busId ?? `00000000:${(index + 1).toString(16).toUpperCase().padStart(2, '0')}:00.0`,
      memoryMiB: own.memoryMiB ?? simulation.memoryMiB,
      memoryUsedMiB: own.memoryUsedMiB ?? 1 + used,
      temperatureC: own.temperatureC ?? 35 + (index % 8),
      utilizationPercent: own.utilizationPercent ?? (used > 0 ? 50 : 0),
      hasEcc: [own.eccUncorrected, own.remapPending, own.remapFailed].some((each) => each !== undefined),
      eccUncorrected: own.eccUncorrected ?? 0,
      remapPending: own.remapPending ?? false,
      remapFailed: own.remapFailed ?? false,
      slowdowns: own.slowdowns ?? [],
      unreadable: own.unreadable,
    };
  });
}

const uuidOf = ({ gpus, seed }: GpuSimulation, index: number) => gpus[index]?.uuid ?? seededUuid(seed, index);

function seededUuid(seed: number, index: number): string {
  const hex = seededHex(Math.imul(seed, 1009) + index + 1, 32);
  return `GPU-${[hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')}`;
}
