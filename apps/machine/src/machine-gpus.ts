import type { MachineGpu } from '@mgpu/control';
import type { Clock, Gpu, GpuHealthSample } from '@mgpu/core';

/** The GPUs with what was measured of them last; nothing of those that are not real. */
export function withGauges(gpus: readonly Gpu[], sample: GpuHealthSample | undefined, clock: Clock): MachineGpu[] {
  if (sample === undefined) return [...gpus];
  const at = new Date(clock.now() - (clock.elapsed() - sample.at)).toISOString();
  return gpus.map((gpu) => {
    const found = gpu.mode === 'nvidia' ? sample.gpus.find(({ uuid }) => uuid === gpu.uuid) : undefined;
    if (!found) return gpu;
    const { uuid: _uuid, bus: _bus, ...measured } = found;
    return { ...gpu, gauges: { at, ...withoutUndefined(measured) } };
  });
}

type Known<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

const withoutUndefined = <T extends object>(values: T) =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Known<T>;
