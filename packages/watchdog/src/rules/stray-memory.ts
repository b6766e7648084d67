import { holdsSince } from './recent.ts';
import type { Rule } from './verdict.ts';

/** Who has memory of one GPU, at a moment. */
export interface GpuMemorySample {
  /** Monotonic milliseconds. */
  readonly at: number;
  readonly gpu: string;
  readonly usedMiB: number | undefined;
  /** Undefined when the list could not be had, or when its pids are those of another PID namespace. */
  readonly holders: readonly MemoryHolder[] | undefined;
  /** Whether an instance of ours runs on this GPU. */
  readonly isInUse: boolean;
}

export interface MemoryHolder {
  readonly pid: number;
  readonly memoryMiB: number | undefined;
  /** The instance it belongs to; undefined for what is not ours. */
  readonly instance?: string | undefined;
  /** Undefined for a process that is gone, or a zombie. */
  readonly process?: { readonly command: string; readonly owner: string } | undefined;
}

/** Milliseconds that the driver gets to let go of a dead process's memory. */
const graceMs = 30_000;
/** Driver and display take some on their own. */
const ownMiB = 1_024;

const isStray = ({ instance, process }: MemoryHolder) => instance === undefined || process === undefined;

function strayIn({ holders, usedMiB = 0, isInUse }: GpuMemorySample): boolean {
  if (holders?.some(isStray)) return true;
  return !isInUse && usedMiB > ownMiB && (holders === undefined || holders.length === 0);
}

/** GPU memory held by a process that is dead, or not ours, or by none: told with its holder, and nobody is killed. */
export const strayMemory: Rule<GpuMemorySample> = (history) => {
  const last = history.at(-1);
  const since = holdsSince(history, strayIn);
  if (last === undefined || since === undefined || last.at - since < graceMs) return [];
  const strays = last.holders?.filter(isStray) ?? [];
  const dead = strays.some(({ process }) => process === undefined) || strays.length === 0;
  const told = strays.slice(0, 10).map(({ pid, memoryMiB, process }) => {
    const who = process ? `${process.command} of ${process.owner}` : 'a process that is gone';
    return `pid ${pid}, ${who}, ${memoryMiB ?? 'unknown'} MiB`;
  });
  return [
    {
      rule: 'stray-memory',
      scope: 'gpu',
      subject: last.gpu,
      severity: dead ? 'error' : 'warning',
      action: 'record',
      reason:
        strays.length > 0
          ? `memory of ${last.gpu} is held by what is not ours to use: ${told[0]}${told.length > 1 ? ` and ${strays.length - 1} more` : ''}`
          : `${last.usedMiB} MiB of ${last.gpu} are held by no process`,
      hint: dead
        ? 'reset the GPU, or reboot, if it does not free itself'
        : 'stop that process, or leave this GPU to it',
      evidence: told,
    },
  ];
};
