import type { InstanceStatus, ServiceState, ServiceStatus } from '@mgpu/core';

type Graph = Readonly<Record<ServiceState, readonly ServiceState[]>>;

/** What may follow what in the life of one service. `blocked` and `backoff` are not of its making. */
export const serviceGraph: Graph = {
  stopped: ['starting'],
  blocked: [],
  starting: ['running', 'stopping', 'cleaning'],
  running: ['stopping', 'cleaning'],
  stopping: ['stopped', 'unkillable'],
  cleaning: ['failed', 'completed', 'unkillable'],
  backoff: [],
  failed: ['starting', 'stopped'],
  completed: ['starting', 'stopped'],
  unkillable: ['stopping'],
};

/** The same with what the orchestrator shows of a service that does not run: `stopped` and `failed` may look otherwise. */
export const instanceGraph: Graph = {
  stopped: ['blocked', 'starting', 'backoff', 'failed'], // the latter two: restored from the daemon before
  blocked: ['starting', 'stopped', 'backoff', 'failed'], // the latter two: a hold on what waited for its next start ends
  starting: ['running', 'stopping', 'cleaning'],
  running: ['stopping', 'cleaning'],
  stopping: ['stopped', 'blocked', 'unkillable'],
  cleaning: ['failed', 'backoff', 'blocked', 'completed', 'unkillable'],
  backoff: ['starting', 'stopped', 'blocked', 'failed'], // the last: its end is shown again once nobody wants it
  failed: ['starting', 'stopped', 'blocked', 'backoff'],
  completed: ['starting', 'stopped', 'blocked'],
  unkillable: ['stopping'],
};

/** Nothing leaves these by itself, by design; `failed` only where no next start is set. */
export const finalStates: readonly ServiceState[] = ['stopped', 'completed', 'failed'];

/** Where a run is on its way out and must arrive in bounded time. */
export const passingStates: readonly ServiceState[] = ['stopping', 'cleaning'];

/** A start that does not let go, 5 s, and two releases that hang, 30 s each. */
export const longestEndMs = 65_000;

/** States that can be reached from this one. */
export function reachable(graph: Graph, from: ServiceState): ReadonlySet<ServiceState> {
  const seen = new Set<ServiceState>();
  const visit = (state: ServiceState) => {
    for (const next of graph[state]) {
      if (seen.has(next)) continue;
      seen.add(next);
      visit(next);
    }
  };
  visit(from);
  return seen;
}

/** Follows the events of one service or instance, and tells what must not be. */
export class Tracker<S extends ServiceStatus | InstanceStatus> {
  readonly #graph: Graph;
  readonly #problem: (text: string) => void;
  /** Ids of runs that have begun. */
  readonly #runs = new Set<string>();
  last: S;
  /** When it came to its state; fake milliseconds. */
  enteredAt = 0;

  constructor(graph: Graph, initially: S, problem: (text: string) => void) {
    this.#graph = graph;
    this.#problem = problem;
    this.last = initially;
  }

  hear(status: S, now: number, { isProved }: { isProved: (run: string) => boolean }): void {
    const { state: from } = this.last;
    const { id, state, health, run } = status;
    if (from !== state && !this.#graph[from].includes(state)) this.#problem(`${id} went from ${from} to ${state}`);
    if (from !== state) this.enteredAt = now;
    if (state === 'starting' && from !== state) {
      if (run === undefined || this.#runs.has(run)) this.#problem(`${id} starts in the run of before`);
      if (run !== undefined) this.#runs.add(run);
    } else if (run !== undefined && !this.#runs.has(run)) this.#problem(`${id} is in a run that never started`);
    if (state !== 'running' && health !== 'unknown') this.#problem(`${id} is ${health} while ${state}`);
    if (health === 'ready' && !(run !== undefined && isProved(run))) {
      this.#problem(`${id} is ready though no probe of this run said so`);
    }
    this.last = status;
  }
}
