import { pciBus } from '../pci-bus.ts';
import type { HealthColumn, HealthField } from './health-fields.ts';

/** One GPU as nvidia-smi described it; what the driver does not offer is undefined. */
export interface GpuHealth {
  readonly uuid: string;
  /** Comparable form, see `pciBus`. */
  readonly bus: string | undefined;
  readonly memoryTotalMiB: number | undefined;
  readonly memoryUsedMiB: number | undefined;
  readonly temperatureC: number | undefined;
  /** Share of the last moments in which something was computed, 0 to 100. */
  readonly utilizationPercent: number | undefined;
  /** Watts. */
  readonly powerW: number | undefined;
  readonly powerLimitW: number | undefined;
  /** Since the driver was loaded. */
  readonly eccUncorrected: number | undefined;
  readonly remapPending: boolean | undefined;
  readonly remapFailed: boolean | undefined;
  /** What slows its clocks now. */
  readonly slowdowns: readonly Slowdown[];
}

export type Slowdown = 'hardware' | 'heat' | 'power';

/** A process that computes on a GPU, as the host numbers it. */
export interface ComputeApp {
  readonly gpu: string;
  readonly pid: number;
  readonly name: string;
  readonly memoryMiB: number | undefined;
}

/** Rows beyond these are not read. */
const maxGpus = 64;
const maxApps = 1_024;

const uuidCell = /^(GPU|MIG)-[0-9a-zA-Z-]{1,60}$/;

const rowsOf = (text: string, max: number): string[][] =>
  text
    .split('\n', max * 2)
    .filter((line) => line.trim() !== '')
    .slice(0, max)
    .map((line) =>
      line
        .slice(0, 1_000)
        .split(',')
        .map((cell) => cell.trim()),
    );

const numberIn = (cell = ''): number | undefined => (/^\d{1,15}(\.\d{1,6})?$/.test(cell) ? Number(cell) : undefined);

function yesIn(cell = ''): boolean | undefined {
  if (/^(yes|active|enabled|[1-9]\d*)$/i.test(cell)) return true;
  return /^(no|not active|disabled|0)$/i.test(cell) ? false : undefined;
}

/** The GPUs in an answer to `--query-gpu`, and the lines that describe none that works. Never throws. */
export function parseHealth(text: string, columns: readonly HealthColumn[]): { gpus: GpuHealth[]; odd: string[] } {
  const gpus: GpuHealth[] = [];
  const odd: string[] = [];
  for (const cells of rowsOf(text, maxGpus)) {
    const cell = (field: HealthField) => cells[columns.findIndex((column) => column.field === field)];
    const uuid = cell('uuid') ?? '';
    const isLost = cells.some((each) => /GPU is lost|GPU requires reset|Unknown Error/i.test(each));
    if (cells.length !== columns.length || !uuidCell.test(uuid) || isLost || gpus.some((each) => each.uuid === uuid)) {
      odd.push(cells.join(', ').slice(0, 200));
      continue;
    }
    gpus.push({
      uuid,
      bus: pciBus(cell('bus') ?? ''),
      memoryTotalMiB: numberIn(cell('memoryTotalMiB')),
      memoryUsedMiB: numberIn(cell('memoryUsedMiB')),
      temperatureC: numberIn(cell('temperatureC')),
      utilizationPercent: numberIn(cell('utilizationPercent')),
      powerW: numberIn(cell('powerW')),
      powerLimitW: numberIn(cell('powerLimitW')),
      eccUncorrected: numberIn(cell('eccUncorrected')),
      remapPending: yesIn(cell('remapPending')),
      remapFailed: yesIn(cell('remapFailed')),
      slowdowns: [
        ...(yesIn(cell('hwSlowdown')) ? ['hardware' as const] : []),
        ...(yesIn(cell('hwThermalSlowdown')) ? ['heat' as const] : []),
        ...(yesIn(cell('hwPowerBrake')) ? ['power' as const] : []),
      ],
    });
  }
  return { gpus, odd };
}

/** An answer to `--query-compute-apps=gpu_uuid,pid,process_name,used_memory`. Never throws. */
export function parseApps(text: string): ComputeApp[] {
  return rowsOf(text, maxApps).flatMap(([gpu = '', pid = '', ...rest]) => {
    if (!uuidCell.test(gpu) || !/^\d{1,10}$/.test(pid) || rest.length < 2) return [];
    // A name may hold commas; the memory is last.
    const name = rest.slice(0, -1).join(', ').slice(0, 200);
    return [{ gpu, pid: Number(pid), name, memoryMiB: numberIn(rest.at(-1)) }];
  });
}

/** An answer to `--query-remapped-rows=gpu_uuid,remapped_rows.pending,remapped_rows.failure`. Never throws. */
export function parseRemaps(text: string): Map<string, Pick<GpuHealth, 'remapPending' | 'remapFailed'>> {
  return new Map(
    rowsOf(text, maxGpus)
      .filter(([gpu = '']) => uuidCell.test(gpu))
      .map(([gpu = '', pending, failed]) => [gpu, { remapPending: yesIn(pending), remapFailed: yesIn(failed) }]),
  );
}
