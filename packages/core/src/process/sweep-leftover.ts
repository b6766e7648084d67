import type { ServiceContext } from '../service/context.ts';
import { processRecordFile } from './process-record.ts';
import { bootId } from './process-table.ts';
import { findTree } from './process-tree.ts';
import { stopTree } from './stop-tree.ts';

/**
 * Ends what a former run of this instance left behind, found by its record; true when there was something to end. A record of another boot, or of a pid that
 * now is somebody else, is dropped and nothing is signalled. Throws `CORE_FILE_VERSION` for a record of a newer mgpu.
 * The signal hurries: what is left is killed at once, since nothing may be left behind by whoever loses interest.
 */
export async function sweepLeftover(
  { id, layout, clock, log }: Pick<ServiceContext, 'id' | 'layout' | 'clock' | 'log'>,
  hurry: AbortSignal,
): Promise<boolean> {
  const file = processRecordFile(layout.run, id);
  const record = await file.read();
  if (!record) return false;
  let hasSwept = false;
  if (record.bootId === bootId()) {
    // An intent without a pid can only be found by the marker of its run.
    const { run, pid = 0, startTime = -1, exe } = record;
    const identity = { run, pid, startTime, exe };
    const found = findTree(identity);
    if (found.length > 0) {
      log.warn(`${id}: ending what its former run left behind`, { instance: id, pids: found.map((each) => each.pid) });
      await stopTree(identity, { instance: id, clock, stopSignal: 'SIGTERM', graceMs: 2_000, force: hurry });
      hasSwept = true;
    }
  }
  await file.remove();
  return hasSwept;
}
