import { readFileSync } from 'node:fs';
import type { ProcessFacts } from './process-table.ts';

/** A process with its session and the children of those, out of a reading of the process table. */
export function processTreeOf(leader: number, processes: readonly ProcessFacts[]): readonly ProcessFacts[] {
  const members = new Set(processes.filter(({ pid, session }) => pid === leader || session === leader));
  const pids = new Set([...members].map(({ pid }) => pid));
  for (let before = -1; before !== members.size; ) {
    before = members.size;
    for (const each of processes) {
      if (!pids.has(each.parent)) continue;
      members.add(each);
      pids.add(each.pid);
    }
  }
  return [...members];
}

/** Resident memory of one process: pages that it shares count in full. 0 when it is gone, or not for us to read. */
export function residentBytes(pid: number): number {
  try {
    const [, kibibytes] = /^VmRSS:\s+(\d{1,15}) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return Number(kibibytes ?? 0) * 1_024;
  } catch {
    return 0;
  }
}
