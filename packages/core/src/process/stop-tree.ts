import type { Clock } from '../clock.ts';
import { UnkillableError } from '../errors/core-errors.ts';
import type { Logger } from '../logs/logger.ts';
import { isAlive, type ProcessFacts, signalProcess } from './process-table.ts';
import { findTree, type TreeIdentity } from './process-tree.ts';

export interface StopTreeOptions {
  /** Sent to the leader alone, so that masters can end their children in order. */
  readonly stopSignal: NodeJS.Signals;
  /** Milliseconds the leader has before the rest of its tree is told. */
  readonly graceMs: number;
  readonly instance: string;
  readonly clock: Clock;
  /** Hears of whatever had to be killed. */
  readonly log: Logger;
  /** True when this process spawned the leader and watched it since. */
  readonly leaderWasOurs?: boolean;
  /** Fires when the operator lost patience: the remaining waits shrink to nothing. */
  readonly force?: AbortSignal;
}

const terminateMs = 2_000;
const killMs = 10_000;

/**
 * Ends a run's whole tree: stop signal to the leader, grace, SIGTERM to what is left, 2 s, SIGKILL, until neither
 * session, group nor marker finds anything. Throws `CORE_PROCESS_UNKILLABLE` after 10 s of SIGKILL.
 */
export async function stopTree(identity: TreeIdentity, options: StopTreeOptions): Promise<void> {
  const { instance, clock, log, force, stopSignal, graceMs, leaderWasOurs = false } = options;
  const members = new Map<number, ProcessFacts>();
  // A dying process has lost its environment a little before it is gone: what was a member once stays one to its end.
  const find = () => {
    for (const each of findTree(identity, { leaderWasOurs })) members.set(each.pid, each);
    return [...members.values()].filter(isAlive);
  };
  const leader = { pid: identity.pid, startTime: identity.startTime };
  if (!force?.aborted && signalProcess(leader, stopSignal)) {
    signalProcess(leader, 'SIGCONT');
    await until(() => !isAlive(leader), graceMs, clock, force);
  }
  const others = find();
  // Where it had no children, or has taken them along, this one look is all it costs.
  if (others.length === 0) return;
  const terminated = force?.aborted ? [] : signalAll(others, 'SIGTERM');
  if (terminated.length > 0) await until(() => find().length === 0, terminateMs, clock, force);
  const killed = new Set<number>();
  const gone = await until(
    () => {
      const left = find();
      for (const pid of signalAll(left, 'SIGKILL')) killed.add(pid);
      return left.length === 0;
    },
    killMs,
    clock,
  );
  if (killed.size > 0) log.warn(`${instance}: had to be killed`, { instance, pids: [...killed] });
  const left = gone ? [] : find();
  if (left.length > 0) throw new UnkillableError({ instance, pids: left.map(({ pid }) => pid) });
}

function signalAll(processes: readonly ProcessFacts[], signal: NodeJS.Signals): number[] {
  return processes
    .filter((each) => {
      const sent = signalProcess(each, signal);
      if (sent && signal !== 'SIGKILL') signalProcess(each, 'SIGCONT');
      return sent;
    })
    .map(({ pid }) => pid);
}

/** Looks again ever more slowly, 2 to 50 ms apart; false when the time ran out or the signal fired. */
async function until(done: () => boolean, ms: number, clock: Clock, signal?: AbortSignal): Promise<boolean> {
  const end = clock.elapsed() + ms;
  for (let pause = 2; ; pause = Math.min(pause * 2, 50)) {
    if (done()) return true;
    if (clock.elapsed() >= end || signal?.aborted) return false;
    await clock.sleep(pause, { signal }).catch(() => {}); // aborted: the next look decides
  }
}
