import { describeHolder, firstOf, type GpuMemorySample, isStray } from './gpu-memory.ts';
import { holdsSince } from './recent.ts';
import type { Rule } from './verdict.ts';

/** Milliseconds that the driver gets to let go of a dead process's memory. */
const graceMs = 30_000;
/** Driver and display take some on their own. */
const ownMiB = 1_024;

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
  const told = strays.slice(0, 10).map(describeHolder);
  return [
    {
      rule: 'stray-memory',
      scope: 'gpu',
      subject: last.gpu,
      severity: dead ? 'error' : 'warning',
      action: 'record',
      reason:
        strays.length > 0
          ? `memory of ${last.gpu} is held by what is not ours to use: ${firstOf(told)}`
          : `${last.usedMiB} MiB of ${last.gpu} are held by no process`,
      hint: dead
        ? 'reset the GPU, or reboot, if it does not free itself'
        : 'stop that process, or leave this GPU to it',
      evidence: told,
    },
  ];
};
