import type { Clock } from '../clock.ts';
import { InstanceInUseError } from '../errors/core-errors.ts';
import type { Logger } from '../logs/logger.ts';
import type { ProcessRecordFile } from './process-record.ts';
import { bootId, commandLineOf, isAlive } from './process-table.ts';
import { findTree, leaderless } from './process-tree.ts';
import { stopTree } from './stop-tree.ts';

export interface SweepOptions {
  readonly instance: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Kills what is left at once: nothing may be left behind by whoever loses interest. */
  readonly hurry: AbortSignal;
  /** Gives it the time that it would have had from whoever started it. Default: 2 s. */
  readonly graceful?: boolean;
}

const briefly = { stopSignal: 'SIGTERM', graceMs: 2_000 } as const;

/**
 * Ends what a former run of this instance left behind, found by its record; true when there was something to end. A
 * record of another boot, or of a pid that now is somebody else, is dropped and nothing is signalled. Neither is a run
 * whose owner lives: that is no leftover, but `CORE_INSTANCE_IN_USE`. Throws `CORE_FILE_VERSION` for a record of a newer
 * mgpu and `CORE_PROCESS_UNKILLABLE` for what does not end.
 */
export async function sweepLeftover(
  file: ProcessRecordFile,
  { instance, clock, log, hurry, graceful = false }: SweepOptions,
): Promise<boolean> {
  const record = file.read();
  if (!record) return false;
  let hasSwept = false;
  if (record.bootId === bootId()) {
    const { owner, run } = record;
    if (isAlive(owner)) {
      const command = commandLineOf(owner.pid) ?? 'unknown';
      throw new InstanceInUseError({ instance, owner: owner.pid, command });
    }
    const identity = record.state === 'spawned' ? record : leaderless(run);
    const found = findTree(identity);
    if (found.length > 0) {
      log.warn(`${instance}: ending what its former run left behind`, { instance, pids: found.map(({ pid }) => pid) });
      const { stopSignal, graceMs } = graceful && record.state === 'spawned' ? record : briefly;
      await stopTree(identity, { instance, clock, log, stopSignal, graceMs, force: hurry });
      hasSwept = true;
    }
  }
  file.remove();
  return hasSwept;
}
