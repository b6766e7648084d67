import { APP_FIELDS, type Field, gpuFields, REMAP_FIELDS, type SimulatedApp } from './fields.ts';
import { type SimulatedGpu, simulatedGpus } from './gpus.ts';
import type { GpuSimulation } from './script.ts';

export interface Answer {
  readonly code: number;
  readonly text: string;
}

const ok = (text: string): Answer => ({ code: 0, text });
const FORMAT_MISSING = 'Option "--format" must be specified with "--query-*".\n';

/** What `nvidia-smi` prints for a command line. It prints errors on stdout too. */
export function answer(args: readonly string[], simulation: GpuSimulation): Answer {
  const options = readArguments(args);
  if (typeof options === 'string')
    return {
      code: 2,
      text: `Invalid combination of input arguments. Please run 'nvidia-smi -h' for help.\n\n${options}\n`,
    };
  const all = simulatedGpus(simulation);
  if (options.has('-h') || options.has('--help')) return ok('NVIDIA System Management Interface (simulated)\n');
  if (options.has('--help-query-gpu'))
    return ok(
      `List of valid properties to query for the switch "--query-gpu=":\n\n${Object.keys(gpuFields(simulation))
        .map((name) => `"${name}"\n`)
        .join('')}`,
    );
  const chosen = options.get('--id')?.split(',');
  const gpus =
    chosen === undefined
      ? all
      : all.filter((gpu) => chosen.some((id) => [String(gpu.index), gpu.uuid, gpu.busId].includes(id)));
  if (gpus.length === 0) return { code: 6, text: 'No devices were found\n' };
  if (options.has('-L')) return ok(gpus.map((gpu) => `GPU ${gpu.index}: ${gpu.name} (UUID: ${gpu.uuid})\n`).join(''));
  const gpuColumns = options.get('--query-gpu');
  if (gpuColumns !== undefined)
    return table(gpuColumns, gpuFields(simulation), gpus, options.get('--format'), simulation);
  const remapColumns = options.get('--query-remapped-rows');
  if (remapColumns !== undefined) return table(remapColumns, REMAP_FIELDS, gpus, options.get('--format'), simulation);
  const appFields = options.get('--query-compute-apps');
  if (appFields !== undefined)
    return table(appFields, APP_FIELDS, apps(gpus, simulation), options.get('--format'), simulation);
  return ok(summary(gpus, simulation));
}

const WITH_VALUE = new Set(['--query-gpu', '--query-compute-apps', '--query-remapped-rows', '--format', '--id']);
const SWITCHES = new Set(['-L', '-h', '--help', '--help-query-gpu', '--list-gpus']);

/** The options and their values, or the word that is none. */
function readArguments(args: readonly string[]): Map<string, string> | string {
  const options = new Map<string, string>();
  for (let i = 0; i < args.length; i++) {
    const [name = '', inline] = (args[i] as string).split(/=(.*)/s);
    const key = name === '-i' ? '--id' : name === '--list-gpus' ? '-L' : name;
    if (WITH_VALUE.has(key)) options.set(key, inline ?? args[++i] ?? '');
    else if (SWITCHES.has(name)) options.set(key, '');
    else return `Option "${args[i]}" is not recognized.`;
  }
  return options;
}

/** What a card that cannot be read still says. */
const alwaysReadable = new Set(['index', 'count', 'driver_version', 'pci.bus_id', 'gpu_bus_id']);

function table<Row>(
  names: string,
  fields: Readonly<Record<string, Field<Row>>>,
  rows: readonly Row[],
  format: string | undefined,
  simulation: GpuSimulation,
): Answer {
  const columns = names.split(',').map((name) => name.trim());
  const unknown = columns.find((name) => !Object.hasOwn(fields, name));
  if (unknown !== undefined) return { code: 2, text: `Field "${unknown}" is not a valid field to query.\n\n` };
  const formats = format?.split(',') ?? [];
  if (!formats.includes('csv')) return { code: 2, text: FORMAT_MISSING };
  const units = !formats.includes('nounits');
  const line = (cell: (name: string, field: Field<Row>) => string) =>
    `${columns.map((name) => cell(name, fields[name] as Field<Row>)).join(', ')}\n`;
  const header = formats.includes('noheader')
    ? ''
    : line((name, { unit }) => (unit === undefined ? name : `${name} [${unit}]`));
  const body = rows.map((row) =>
    line((name, { unit, value }) => {
      const { unreadable } = row as { unreadable?: string };
      if (unreadable !== undefined && !alwaysReadable.has(name)) return `[${unreadable}]`;
      return `${value(row, simulation)}${units && unit !== undefined ? ` ${unit}` : ''}`;
    }),
  );
  return ok(header + body.join(''));
}

function apps(gpus: readonly SimulatedGpu[], { processes }: GpuSimulation): SimulatedApp[] {
  return gpus.flatMap((gpu) =>
    processes.filter((process) => process.gpu === gpu.index).map((process) => ({ ...process, gpu })),
  );
}

function summary(gpus: readonly SimulatedGpu[], { driver }: GpuSimulation): string {
  const lines = gpus.map(
    (gpu) =>
      `| ${gpu.index}  ${gpu.name.padEnd(30)} ${gpu.busId} | ${gpu.memoryUsedMiB}MiB / ${gpu.memoryMiB}MiB | ${gpu.utilizationPercent}% |\n`,
  );
  return `NVIDIA-SMI ${driver}   Driver Version: ${driver}   CUDA Version: 13.0 (simulated)\n${lines.join('')}`;
}
