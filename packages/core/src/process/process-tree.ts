import {
  environmentOf,
  executableOf,
  listProcesses,
  type ProcessFacts,
  type ProcessIdentity,
  readProcess,
} from './process-table.ts';

/** The environment variable that marks every process of a run and whatever it starts. */
export const runMarker = 'MGPU_RUN';

/** The environment variable that names the folder of the instance that a process belongs to. */
export const instanceMarker = 'MGPU_INSTANCE';

/** What is known of a run's leader, from our own spawn or from a record. */
export interface TreeIdentity extends ProcessIdentity {
  readonly run: string;
  /** Program file of the leader; the proof for processes that erased their environment. */
  readonly exe?: string | undefined;
}

/** A run whose leader is not known: only the marker can find what belongs to it. */
export const leaderless = (run: string): TreeIdentity => ({ run, pid: 0, startTime: -1 });

/**
 * The living processes of a run: the leader, its session and group, and whoever carries the run's marker wherever it
 * went. A process is never taken for a member by its number alone: the leader must have the recorded start time, and a
 * member of its session or group must not be older. Where the leader is gone and was not ours to watch, a member must
 * carry the marker, or have erased its environment and be the same program.
 */
export function findTree(identity: TreeIdentity, { leaderWasOurs = false } = {}): ProcessFacts[] {
  const { pid, startTime, run, exe } = identity;
  const leader = readProcess(pid);
  const recycled = leader !== undefined && leader.startTime !== startTime;
  const leaderLives = leader !== undefined && !recycled;
  return listProcesses().filter((each) => {
    // No member is older than the leader, whose start time is known unless it is -1.
    if (each.pid === process.pid || each.startTime < startTime) return false;
    if (each.pid === pid) return leaderLives;
    const environment = environmentOf(each.pid);
    if (environment.includes(`${runMarker}=${run}`)) return true;
    if (pid <= 1 || recycled || (each.session !== pid && each.group !== pid)) return false;
    if (leaderLives || leaderWasOurs) return true;
    return environment.length === 0 && exe !== undefined && executableOf(each.pid) === exe;
  });
}
