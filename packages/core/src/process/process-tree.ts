import { executableOf, hasEnvironment, listProcesses, type ProcessFacts, readProcess } from './process-table.ts';

/** The environment variable that marks every process of a run and whatever it starts. */
export const runMarker = 'MGPU_RUN';

/** What is known of a run's leader, from our own spawn or from a record. */
export interface TreeIdentity {
  readonly run: string;
  readonly pid: number;
  readonly startTime: number;
  /** Program file of the leader; the proof for processes that erased their environment. */
  readonly exe?: string | undefined;
}

/**
 * The living processes of a run: the leader, its session and group, and whoever carries the run's marker wherever it
 * went. A process is never taken for a member by its number alone: the leader must have the recorded start time, a
 * member of a leaderless session must carry the marker or be the same program and older than nothing we know.
 */
export function findTree(identity: TreeIdentity, { leaderWasOurs = false } = {}): ProcessFacts[] {
  const { pid, startTime, run, exe } = identity;
  const leader = readProcess(pid);
  const recycled = leader !== undefined && leader.startTime !== startTime;
  const leaderLives = leader !== undefined && !recycled;
  return listProcesses().filter((each) => {
    if (each.pid === process.pid) return false;
    if (each.pid === pid) return leaderLives;
    if (hasEnvironment(each.pid, runMarker, run)) return true;
    if (pid <= 1 || recycled || (each.session !== pid && each.group !== pid)) return false;
    return leaderLives || leaderWasOurs || (exe !== undefined && executableOf(each.pid) === exe);
  });
}
