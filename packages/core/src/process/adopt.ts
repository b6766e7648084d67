import type { Clock } from '../clock.ts';
import type { SpawnedRecord } from './process-record.ts';
import { bootId, isAlive } from './process-table.ts';
import type { ProcessExit, SpawnedProcess } from './spawn.ts';

/** Milliseconds between two looks at a process that is not our child; while its end is expected, and otherwise. */
const pollMs = { expected: 10, otherwise: 250 };

/** Whether the recorded process lives and nobody watches it any more: its owner is dead, the host was not restarted. */
export const isOrphaned = ({ bootId: boot, owner, pid, startTime }: SpawnedRecord): boolean =>
  boot === bootId() && !isAlive(owner) && isAlive({ pid, startTime });

/**
 * Watches a process that a daemon before us started. Its end is noticed within 250 ms; how it ended nobody can know.
 * `ending` fires when that is expected.
 */
export function adoptProcess(
  record: SpawnedRecord,
  { clock, ending }: { clock: Clock; ending: AbortSignal },
): SpawnedProcess {
  const { pid, startTime, exe, logOffset } = record;
  return { pid, startTime, exe, logOffset, exited: gone() };

  async function gone(): Promise<ProcessExit> {
    while (isAlive({ pid, startTime })) {
      if (ending.aborted) await clock.sleep(pollMs.expected);
      else await clock.sleep(pollMs.otherwise, { signal: ending }).catch(() => {}); // the end is near: look more often
    }
    return { code: null, signal: null };
  }
}
