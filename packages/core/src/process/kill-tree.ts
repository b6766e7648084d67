import { processTreeOf } from './process-memory.ts';
import { listProcesses, type ProcessFacts, type ProcessIdentity, readProcess, signalProcess } from './process-table.ts';

/**
 * Kills a child of ours that leads a session, with its session and whatever those have started, in sessions of their own, too.
 * All are stopped first: what is found then is all there is, for none of them can start another.
 */
export function killTree(leader: ProcessIdentity): void {
  const now = readProcess(leader.pid);
  if (now && now.startTime !== leader.startTime) return; // another has its number: nothing of its session is left
  const found = new Map<number, ProcessFacts>();
  for (let before = -1; before < found.size; ) {
    before = found.size;
    for (const each of processTreeOf(leader.pid, listProcesses())) {
      if (!found.has(each.pid)) signalProcess(each, 'SIGSTOP');
      found.set(each.pid, each);
    }
  }
  for (const each of found.values()) signalProcess(each, 'SIGKILL');
  try {
    process.kill(-leader.pid, 'SIGKILL'); // where there is no /proc
  } catch {
    // nobody is left
  }
}
