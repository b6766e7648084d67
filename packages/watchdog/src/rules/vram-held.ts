import { describeHolder, firstOf, type GpuMemorySample, isStray, type MemoryHolder } from './gpu-memory.ts';
import type { Rule, Verdict } from './verdict.ts';

export interface VramHeldLimits {
  /** The engine that is to be started. */
  readonly instance: string;
  /** MiB up to which memory that was free before may be held. */
  readonly toleratedMiB: number;
}

/**
 * Memory of an engine's GPU that was free when its last run began (the first sample), and is held now that it has ended
 * (the last one): by processes that are dead or not ours, or by none that is named. Whoever had memory before keeps it.
 */
export const vramHeld =
  ({ instance, toleratedMiB }: VramHeldLimits): Rule<GpuMemorySample> =>
  (history) => {
    const [before] = history;
    const now = history.at(-1);
    if (before === undefined || now === undefined || before === now) return [];
    const held = newlyHeld(before, now);
    const heldMiB = held.reduce((sum, { memoryMiB }) => sum + memoryMiB, 0);
    const unnamedMiB = unnamedGrowth(before, now);
    const verdict = {
      rule: 'vram-held',
      scope: 'process',
      subject: instance,
      severity: 'error',
      action: 'record',
    } as const;
    if (heldMiB > toleratedMiB) {
      const evidence = held.slice(0, 10).map(({ holder }) => describeHolder(holder));
      const reason = `memory of its GPU that was free before is held by ${firstOf(evidence)}`;
      return [{ ...verdict, reason, hint: cureOf(held.map(({ holder }) => holder)), evidence }];
    }
    if (unnamedMiB <= toleratedMiB) return [];
    const reason = `${unnamedMiB} MiB of its GPU that were free before are held by no process that nvidia-smi names`;
    return [{ ...verdict, reason, hint: cureOf(), evidence: [`${now.usedMiB} MiB of ${now.gpu} are used`] }];
  };

/** What is held by those who are dead or not ours, beyond what they had before; nothing where the two cannot be compared. */
function newlyHeld(before: GpuMemorySample, now: GpuMemorySample): { holder: MemoryHolder; memoryMiB: number }[] {
  if (before.holders === undefined || now.holders === undefined) return [];
  const former = new Map(before.holders.filter(isStray).map((each) => [each.pid, each]));
  return now.holders.filter(isStray).flatMap((holder) => {
    const known = former.get(holder.pid);
    // How much one has that does not tell is unknown, not nothing.
    const { memoryMiB = known ? 0 : Number.POSITIVE_INFINITY } = holder;
    const grownMiB = memoryMiB - (known ? (known.memoryMiB ?? memoryMiB) : 0);
    return grownMiB > 0 ? [{ holder, memoryMiB: grownMiB }] : [];
  });
}

/** By how much that has grown which no process is named for; 0 where the two cannot be compared. */
function unnamedGrowth(before: GpuMemorySample, now: GpuMemorySample): number {
  const isNamed = now.holders !== undefined;
  if (isNamed !== (before.holders !== undefined)) return 0;
  // The sum and the names are two questions: what one of ours took between them would be missing from what nobody is named for.
  if (before.isInUse) return 0;
  // Where nobody is named, what an engine of ours has beside it is in the sum, too.
  if (!isNamed && now.isInUse) return 0;
  const [former, present] = [unnamedMiB(before), unnamedMiB(now)];
  return former === undefined || present === undefined ? 0 : present - former;
}

function unnamedMiB({ usedMiB, holders = [] }: GpuMemorySample): number | undefined {
  const named = holders.reduce<number>((sum, { memoryMiB = Number.NaN }) => sum + memoryMiB, 0);
  return usedMiB === undefined || Number.isNaN(named) ? undefined : Math.max(0, usedMiB - named);
}

function cureOf(held: readonly MemoryHolder[] = []): Verdict['hint'] {
  const isAlive = held.some(({ process }) => process !== undefined);
  const cure = isAlive ? 'stop that process' : 'reset the GPU, or reboot, if it does not free itself';
  return `${cure}; to start it all the same, remove its file restart_enabled and make it again`;
}
