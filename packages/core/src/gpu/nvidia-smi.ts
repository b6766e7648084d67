import { readdir } from 'node:fs/promises';
import { z } from 'zod';
import { systemClock } from '../clock.ts';
import { GpuQueryError } from '../errors/core-errors.ts';
import type { MgpuError } from '../errors/mgpu-error.ts';
import { findProgram } from '../process/find-program.ts';
import { type CommandResult, runCommand } from '../process/run-command.ts';
import type { Gpu, GpuInventory } from './gpu.ts';

const fields = ['index', 'uuid', 'name', 'memory.total', 'driver_version', 'pci.bus_id'] as const;

const args = [`--query-gpu=${fields.join(',')}`, '--format=csv,noheader,nounits'];
const driverGpus = '/proc/driver/nvidia/gpus';
/** "A query to find an object was unsuccessful" (nvidia-smi(1)): a container sees the folders of GPUs that are not its own. */
const notFoundExitCode = 6;

/** Milliseconds to list the GPUs: where persistence mode is off, each query loads the driver. */
export const listMs = 30_000;

const uuidCell = z.string().regex(/^(GPU|MIG)-[0-9a-zA-Z-]+$/);
const busIdCell = z.string().regex(/^[0-9A-Fa-f]+:[0-9A-Fa-f]+:[0-9A-Fa-f]+\.\d$/);

const gpuRow = z.tuple([
  z.string().regex(/^\d+$/).transform(Number),
  uuidCell,
  z.string().min(1),
  // Chips that share the host's memory have none of their own to report.
  z.union([z.literal(['[N/A]', '[Not Supported]']).transform(() => 0), z.string().regex(/^\d+$/).transform(Number)]),
  z.string().min(1),
  busIdCell,
]);

export interface NvidiaSmiOptions {
  /** Program, default `nvidia-smi` from PATH. */
  readonly program?: string;
  /** Environment it inherits. Default: ours. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Milliseconds before it is killed. Default 30,000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** Where the driver has a folder for each GPU, named by its PCI bus id. Default `/proc/driver/nvidia/gpus`. */
  readonly driverDir?: string;
}

/**
 * The GPUs as `nvidia-smi --query-gpu` lists them, in PCI bus order. Where one that is lost keeps it from listing any, each is
 * asked for by itself. Undefined when the program is not installed; `CORE_GPU_QUERY` when it hangs, fails, or says nothing
 * that can be true.
 */
export async function queryGpus(options: NvidiaSmiOptions = {}): Promise<GpuInventory | undefined> {
  const { program = 'nvidia-smi' } = options;
  const answer = await query(options);
  if (answer === undefined) return undefined;
  const { rows, sick, problem } = answer;
  for (const [what, column] of [
    ['UUID', 1],
    ['PCI bus id', 5],
  ] as const) {
    if (new Set(rows.map((row) => row[column])).size < rows.length)
      throw new GpuQueryError({ program, problem: `named the same ${what} twice` });
  }
  // A sick card keeps its place, so that the others keep their numbers, ports and folders.
  const places = [...rows.map(([, , , , , busId]) => busId), ...sick].toSorted((a, b) =>
    busOrder(a).localeCompare(busOrder(b)),
  );
  const gpus = rows.map(([, uuid, name, memoryMiB, driver, pciBusId]): Gpu => {
    return { index: places.indexOf(pciBusId), mode: 'nvidia', uuid, name, memoryMiB, driver, pciBusId };
  });
  return { gpus: gpus.toSorted((a, b) => a.index - b.index), ...(problem ? { problem } : {}) };
}

const busOrder = (busId: string) => busId.toUpperCase().padStart(16, '0');

type GpuRow = z.output<typeof gpuRow>;

/** The rows that can be believed, the PCI bus ids of other GPUs, as far as they are known, and what was wrong. */
interface Answer {
  readonly rows: readonly GpuRow[];
  readonly sick: readonly string[];
  readonly problem: MgpuError | undefined;
}

async function query(options: NvidiaSmiOptions): Promise<Answer | undefined> {
  const { program = 'nvidia-smi', env = process.env, timeoutMs = listMs, signal, driverDir = driverGpus } = options;
  const found = await findProgram([program], env);
  const latest = systemClock.elapsed() + timeoutMs;
  const ask = async (...selection: string[]) => {
    const left = Math.max(1, Math.round(latest - systemClock.elapsed()));
    const result = await runCommand(found ?? program, [...args, ...selection], { timeoutMs: left, env, signal });
    signal?.throwIfAborted();
    return result;
  };
  const result = await ask();
  // The error alone does not tell: a script whose interpreter is missing gives the same one.
  if (result.spawnError === 'ENOENT' && !found) return undefined;
  if (result.spawnError) throw new GpuQueryError({ program, problem: `could not be started (${result.spawnError})` });
  if (result.timedOut)
    throw new GpuQueryError({ program, problem: `did not answer within ${timeoutMs} ms and was killed` });
  const { rows, odd } = rowsIn(result.stdout);
  const problem = problemOf(program, result, odd[0]?.join(', '));
  if (!problem || rows.length > 0)
    return { rows, sick: odd.flatMap((row) => busIdCell.safeParse(row[5]).data ?? []), problem };
  const busIds = await readdir(driverDir).catch(() => []); // no driver, or one that does not tell
  const each = await Promise.all(
    busIds.map(async (busId) => {
      const { stdout, exitCode } = await ask(`--id=${busId}`);
      return { busId, row: rowsIn(stdout).rows[0], isOurs: exitCode !== notFoundExitCode };
    }),
  );
  const well = each.flatMap(({ row }) => (row ? [row] : []));
  const sick = each.flatMap(({ row, isOurs, busId }) => (row || !isOurs ? [] : [busId]));
  if (well.length === 0) throw problem;
  return { rows: well, sick, problem: sick.length > 0 ? problem : undefined };
}

function rowsIn(text: string): { rows: GpuRow[]; odd: string[][] } {
  const rows: GpuRow[] = [];
  const odd: string[][] = [];
  for (const line of text.split('\n').filter((each) => each.trim() !== '')) {
    const cells = line.split(',').map((cell) => cell.trim());
    const parsed = gpuRow.safeParse(cells);
    if (parsed.success) rows.push(parsed.data);
    else odd.push(cells);
  }
  return { rows, odd };
}

function problemOf(program: string, { ok, exitCode, signal, stderr }: CommandResult, odd?: string) {
  const output = (odd ?? stderr.trim().split('\n')[0] ?? '').slice(0, 200);
  if (!ok) return new GpuQueryError({ program, problem: `failed with exit code ${exitCode ?? signal}`, output });
  if (odd === undefined) return undefined;
  return new GpuQueryError({ program, problem: 'printed a line that describes no working GPU', output });
}
