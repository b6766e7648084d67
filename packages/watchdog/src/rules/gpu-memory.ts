/** Who has memory of one GPU, at a moment. */
export interface GpuMemorySample {
  /** Monotonic milliseconds. */
  readonly at: number;
  readonly gpu: string;
  readonly usedMiB: number | undefined;
  /** Undefined when the list could not be had, or when its pids are those of another PID namespace. */
  readonly holders: readonly MemoryHolder[] | undefined;
  /** Whether an engine of ours runs on this GPU. */
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

/** It is dead, or not ours. */
export const isStray = ({ instance, process }: MemoryHolder) => instance === undefined || process === undefined;

/** One clause. */
export function describeHolder({ pid, memoryMiB, process }: MemoryHolder): string {
  const who = process ? `${process.command} of ${process.owner}` : 'a process that is gone';
  return `pid ${pid}, ${who}, ${memoryMiB ?? 'unknown'} MiB`;
}

/** The first one, and how many more. */
export const firstOf = ([first, ...others]: readonly string[]) =>
  `${first}${others.length > 0 ? ` and ${others.length} more` : ''}`;
