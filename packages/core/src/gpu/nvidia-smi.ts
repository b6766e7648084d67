import { z } from 'zod';
import { GpuQueryError } from '../errors/core-errors.ts';
import { runCommand } from '../process/run-command.ts';
import type { Gpu } from './gpu.ts';

const fields = ['index', 'uuid', 'name', 'memory.total', 'driver_version', 'pci.bus_id'] as const;
const sampleFields = ['uuid', 'memory.used', 'utilization.gpu', 'temperature.gpu'] as const;

const gpuRow = z.tuple([
  z.string().regex(/^\d+$/).transform(Number),
  z.string().regex(/^(GPU|MIG)-[0-9a-zA-Z-]+$/),
  z.string().min(1),
  // Chips that share the host's memory have none of their own to report.
  z.union([z.literal(['[N/A]', '[Not Supported]']).transform(() => 0), z.string().regex(/^\d+$/).transform(Number)]),
  z.string().min(1),
  z.string().regex(/^[0-9A-Fa-f]+:[0-9A-Fa-f]+:[0-9A-Fa-f]+\.\d$/),
]);

/** One reading of a GPU; a value the driver does not offer is undefined. */
export interface GpuSample {
  readonly uuid: string;
  readonly memoryUsedMiB: number | undefined;
  readonly utilizationPercent: number | undefined;
  readonly temperatureC: number | undefined;
}

export interface NvidiaSmiOptions {
  /** Program, default `nvidia-smi` from PATH. */
  readonly program?: string;
  /** Milliseconds before it is killed. Default 5,000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The GPUs as `nvidia-smi --query-gpu` lists them, in PCI bus order. Undefined when the program is not installed;
 * `CORE_GPU_QUERY` when it hangs, fails, or says something that cannot be true.
 */
export async function queryGpus(options: NvidiaSmiOptions = {}): Promise<Gpu[] | undefined> {
  const { program = 'nvidia-smi' } = options;
  const rows = await query(fields, options);
  if (rows === undefined) return undefined;
  const gpus = rows.map((row): Gpu => {
    const parsed = gpuRow.safeParse(row);
    if (!parsed.success)
      throw new GpuQueryError({ program, problem: 'printed a line that describes no GPU', output: row.join(', ') });
    const [index, uuid, name, memoryMiB, driver, pciBusId] = parsed.data;
    return { index, mode: 'nvidia', uuid, name, memoryMiB, driver, pciBusId };
  });
  for (const [what, key] of [
    ['UUID', 'uuid'],
    ['PCI bus id', 'pciBusId'],
  ] as const) {
    const seen = new Set(gpus.map((gpu) => gpu[key]));
    if (seen.size < gpus.length) throw new GpuQueryError({ program, problem: `named the same ${what} twice` });
  }
  const sorted = gpus.toSorted((a, b) => busOrder(a).localeCompare(busOrder(b)));
  return sorted.map((gpu, index) => ({ ...gpu, index }));
}

/** Memory, load and temperature by UUID. */
export async function sampleGpus(options: NvidiaSmiOptions = {}): Promise<GpuSample[]> {
  const rows = (await query(sampleFields, options)) ?? [];
  const number = (text: string | undefined) =>
    text !== undefined && /^\d+(\.\d+)?$/.test(text) ? Number(text) : undefined;
  return rows.map(([uuid = '', memory, load, heat]) => ({
    uuid,
    memoryUsedMiB: number(memory),
    utilizationPercent: number(load),
    temperatureC: number(heat),
  }));
}

const busOrder = (gpu: Gpu) => (gpu.pciBusId ?? '').toUpperCase().padStart(16, '0');

async function query(names: readonly string[], options: NvidiaSmiOptions): Promise<string[][] | undefined> {
  const { program = 'nvidia-smi', timeoutMs = 5_000, signal } = options;
  const result = await runCommand(program, [`--query-gpu=${names.join(',')}`, '--format=csv,noheader,nounits'], {
    timeoutMs,
    signal,
  });
  if (result.spawnError === 'ENOENT') return undefined;
  if (result.spawnError) throw new GpuQueryError({ program, problem: `could not be started (${result.spawnError})` });
  if (result.timedOut)
    throw new GpuQueryError({ program, problem: `did not answer within ${timeoutMs} ms and was killed` });
  const said = (result.stdout || result.stderr).trim().split('\n')[0]?.slice(0, 200) ?? '';
  if (!result.ok)
    throw new GpuQueryError({
      program,
      problem: `failed with exit code ${result.exitCode ?? result.signal}`,
      output: said,
    });
  const rows = result.stdout
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => line.split(',').map((cell) => cell.trim()));
  const odd = rows.find((row) => row.length !== names.length);
  if (odd)
    throw new GpuQueryError({
      program,
      problem: 'printed a line that describes no GPU',
      output: odd.join(', ').slice(0, 200),
    });
  return rows;
}
