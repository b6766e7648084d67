import { type SimulatedGpu, simulatedGpus } from './gpus.ts';
import type { GpuSimulation } from './script.ts';

/** A column of a query: its value, and the unit that `nounits` leaves out. */
export interface Field<Row> {
  readonly unit?: string;
  readonly value: (row: Row, simulation: GpuSimulation) => string | number;
}

const mib = (value: (gpu: SimulatedGpu) => number): Field<SimulatedGpu> => ({ unit: 'MiB', value });
const fixed = (text: string | number, unit?: string): Field<SimulatedGpu> => ({
  value: () => text,
  ...(unit !== undefined && { unit }),
});
const ecc = (value: (gpu: SimulatedGpu) => string | number): Field<SimulatedGpu> => ({
  value: (gpu) => (gpu.hasEcc ? value(gpu) : '[N/A]'),
});
const yesNo = (holds: (gpu: SimulatedGpu) => boolean) => ecc((gpu) => (holds(gpu) ? 'Yes' : 'No'));
const timestamp = { value: () => new Date().toISOString().replaceAll('-', '/').replace('T', ' ').replace('Z', '') };

/** The fields of `--query-gpu` that every driver has, by every name they have. */
const GPU_FIELDS: Readonly<Record<string, Field<SimulatedGpu>>> = {
  timestamp,
  driver_version: { value: (_gpu, simulation) => simulation.driver },
  count: { value: (_gpu, simulation) => simulatedGpus(simulation).length },
  name: { value: (gpu) => gpu.name },
  gpu_name: { value: (gpu) => gpu.name },
  serial: fixed('[N/A]'),
  gpu_serial: fixed('[N/A]'),
  uuid: { value: (gpu) => gpu.uuid },
  gpu_uuid: { value: (gpu) => gpu.uuid },
  'pci.bus_id': { value: (gpu) => gpu.busId },
  gpu_bus_id: { value: (gpu) => gpu.busId },
  index: { value: (gpu) => gpu.index },
  persistence_mode: fixed('Enabled'),
  compute_mode: fixed('Default'),
  compute_cap: fixed('8.9'),
  display_mode: fixed('Disabled'),
  display_active: fixed('Disabled'),
  pstate: { value: (gpu) => (gpu.utilizationPercent > 0 ? 'P2' : 'P8') },
  vbios_version: fixed('95.02.3C.00.90'),
  'mig.mode.current': fixed('[N/A]'),
  'ecc.mode.current': ecc(() => 'Enabled'),
  'ecc.errors.uncorrected.volatile.total': ecc((gpu) => gpu.eccUncorrected),
  'fan.speed': fixed(30, '%'),
  'memory.total': mib((gpu) => gpu.memoryMiB),
  'memory.reserved': mib(() => 0),
  'memory.used': mib((gpu) => gpu.memoryUsedMiB),
  'memory.free': mib((gpu) => gpu.memoryMiB - gpu.memoryUsedMiB),
  'utilization.gpu': { unit: '%', value: (gpu) => gpu.utilizationPercent },
  'utilization.memory': { unit: '%', value: (gpu) => Math.round(gpu.utilizationPercent / 2) },
  'temperature.gpu': { value: (gpu) => gpu.temperatureC },
  'temperature.memory': fixed('N/A'),
  'power.draw': { unit: 'W', value: (gpu) => (20 + gpu.utilizationPercent * 4).toFixed(2) },
  'power.limit': fixed('450.00', 'W'),
  'clocks.sm': fixed(2520, 'MHz'),
  'clocks.current.sm': fixed(2520, 'MHz'),
  'clocks.mem': fixed(10501, 'MHz'),
};

const remapFields: Readonly<Record<string, Field<SimulatedGpu>>> = {
  'remapped_rows.correctable': ecc(() => 0),
  'remapped_rows.uncorrectable': ecc((gpu) => (gpu.remapPending || gpu.remapFailed ? 1 : 0)),
  'remapped_rows.pending': yesNo((gpu) => gpu.remapPending),
  'remapped_rows.failure': yesNo((gpu) => gpu.remapFailed),
};

/** The fields of `--query-remapped-rows`. */
export const REMAP_FIELDS: Readonly<Record<string, Field<SimulatedGpu>>> = {
  timestamp,
  gpu_name: { value: (gpu) => gpu.name },
  gpu_bus_id: { value: (gpu) => gpu.busId },
  gpu_uuid: { value: (gpu) => gpu.uuid },
  ...remapFields,
};

const slowdownFields = (prefix: string): Readonly<Record<string, Field<SimulatedGpu>>> =>
  Object.fromEntries(
    ['hw_slowdown', 'hw_thermal_slowdown', 'hw_power_brake_slowdown'].map((name) => [
      `${prefix}.${name}`,
      { value: (gpu: SimulatedGpu) => (gpu.slowdowns.includes(name) ? 'Active' : 'Not Active') },
    ]),
  );

/** The fields of `--query-gpu` that this driver knows. */
export const gpuFields = ({ oldFields }: GpuSimulation): Readonly<Record<string, Field<SimulatedGpu>>> =>
  oldFields
    ? { ...GPU_FIELDS, ...slowdownFields('clocks_throttle_reasons') }
    : { ...GPU_FIELDS, ...remapFields, ...slowdownFields('clocks_event_reasons') };

export interface SimulatedApp {
  readonly gpu: SimulatedGpu;
  readonly pid: number;
  readonly name: string;
  readonly memoryMiB: number;
}

const memory: Field<SimulatedApp> = { unit: 'MiB', value: (app) => app.memoryMiB };

/** The fields of `--query-compute-apps`. */
export const APP_FIELDS: Readonly<Record<string, Field<SimulatedApp>>> = {
  timestamp,
  gpu_name: { value: (app) => app.gpu.name },
  gpu_bus_id: { value: (app) => app.gpu.busId },
  gpu_serial: { value: () => '[N/A]' },
  gpu_uuid: { value: (app) => app.gpu.uuid },
  pid: { value: (app) => app.pid },
  process_name: { value: (app) => app.name },
  name: { value: (app) => app.name },
  used_gpu_memory: memory,
  used_memory: memory,
};
