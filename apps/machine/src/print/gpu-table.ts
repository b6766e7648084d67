import { stripVTControlCharacters } from 'node:util';
import type { GpuGauges, MachineGpu } from '@mgpu/control';
import { paint } from './colours.ts';
import { table } from './table.ts';
import { age, clip } from './text.ts';

const gap = 2;
const shortestName = 10;
/** Milliseconds after which it is told how old a look at a GPU is. */
const oldMs = 30_000;
const hotC = 85;

/** A line a GPU; columns that nothing is known for are left out. */
export function gpuTable(gpus: readonly MachineGpu[], { width, now }: { width: number; now: number }): string {
  const columns = [
    { head: 'gpu', cells: gpus.map(({ index }) => String(index)) },
    { head: 'name', cells: gpus.map(nameOf) },
    { head: 'use', cells: gpus.map(({ gauges }) => withUnit(gauges?.utilizationPercent, '%')) },
    { head: 'memory', cells: gpus.map(memoryOf) },
    { head: 'temp', cells: gpus.map(({ gauges }) => temperatureOf(gauges)) },
    { head: 'power', cells: gpus.map(({ gauges }) => powerOf(gauges)) },
    { head: 'state', cells: gpus.map((gpu) => faultsOf(gpu, now)) },
  ].filter(({ cells }) => cells.some((cell) => cell !== ''));
  if (gpus.length === 0) return '';
  const others = columns.filter(({ head }) => head !== 'name');
  const taken = others.reduce((sum, { head, cells }) => sum + Math.max(...[head, ...cells].map(lengthOf)) + gap, 0);
  const room = Math.max(shortestName, width - taken);
  const rows = gpus.map((_gpu, row) =>
    columns.map(({ head, cells }) => (head === 'name' ? clip(cells[row] ?? '', room) : (cells[row] ?? ''))),
  );
  return table(
    columns.map(({ head }) => head),
    rows,
  );
}

const lengthOf = (text: string) => stripVTControlCharacters(text).length;
const nameOf = ({ mode, name }: MachineGpu) =>
  mode === 'cpu' ? 'engines run on the CPU' : name.replace(/^NVIDIA /, '');
const withUnit = (value: number | undefined, unit: string) =>
  value === undefined ? '' : `${Math.round(value)} ${unit}`;
const gib = (mib: number) => (mib / 1_024).toFixed(1);

function memoryOf({ gauges, memoryMiB, mode }: MachineGpu): string {
  const total = gauges?.memoryTotalMiB ?? memoryMiB;
  if (mode !== 'nvidia' || total === 0) return '';
  const used = gauges?.memoryUsedMiB;
  return used === undefined ? `${gib(total)} GiB` : `${gib(used)}/${gib(total)} GiB`;
}

function temperatureOf(gauges: GpuGauges | undefined): string {
  const text = withUnit(gauges?.temperatureC, '°C');
  return (gauges?.temperatureC ?? 0) >= hotC ? paint.yellow(text) : text;
}

function powerOf({ powerW, powerLimitW }: Partial<GpuGauges> = {}): string {
  if (powerW === undefined || powerLimitW === undefined) return withUnit(powerW, 'W');
  return `${Math.round(powerW)}/${Math.round(powerLimitW)} W`;
}

function faultsOf({ mode, gauges, outOfService }: MachineGpu, now: number): string {
  if (outOfService) return paint.red('out of service');
  if (mode !== 'nvidia') return '';
  if (!gauges) return paint.yellow('not seen');
  const { eccUncorrected = 0, remapPending, remapFailed, slowdowns = [], at } = gauges;
  const faults = [
    ...(eccUncorrected > 0 ? [`${eccUncorrected} ECC`] : []),
    ...(remapPending || remapFailed ? ['bad rows'] : []),
    ...(slowdowns.length > 0 ? [`slow: ${slowdowns.join(', ')}`] : []),
  ];
  const lookedMs = now - Date.parse(at);
  if (faults.length > 0) return paint.yellow(faults.join(', '));
  return lookedMs > oldMs ? paint.dim(`${age(lookedMs)} ago`) : paint.green('ok');
}
