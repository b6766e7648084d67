import type { FaultPlan } from './faults/fault-plan.ts';
import type { JobFaults } from './faults/job-faults-schema.ts';
import type { ProcessFaults } from './faults/process-faults.ts';
import { json, type Reply, type Request, type Route } from './http.ts';

export interface SimRoutesOptions<Faults extends JobFaults> {
  readonly faults: FaultPlan<Faults>;
  readonly processFaults: ProcessFaults;
  /** What `GET /sim/state` says besides the process and the strikes. */
  readonly state: () => Readonly<Record<string, unknown>>;
  /** After new faults were set. */
  readonly onFaults?: () => void;
}

/** The control routes of the simulator itself. They answer loopback callers only, so that `--listen` exposes no switch. */
export function simRoutes<Faults extends JobFaults>(options: SimRoutesOptions<Faults>): Route[] {
  const { faults, processFaults } = options;
  const local = (handle: (request: Request) => Reply | Promise<Reply>) => (request: Request) =>
    isLoopback(request.raw.socket.remoteAddress ?? '')
      ? handle(request)
      : json({ error: 'only from this machine' }, 403);
  const state = () => ({
    pid: process.pid,
    childPid: processFaults.childPid ?? null,
    uptimeMs: Math.round(performance.now()),
    strikes: faults.strikes,
    ...options.state(),
  });
  return [
    { method: 'GET', path: '/sim/faults', handle: local(() => json(faults.current)) },
    { method: 'PUT', path: '/sim/faults', handle: local((request) => replaceFaults(options, request)) },
    { method: 'GET', path: '/sim/state', handle: local(() => json(state())) },
  ];
}

async function replaceFaults<Faults extends JobFaults>(
  { faults, processFaults, onFaults }: SimRoutesOptions<Faults>,
  request: Request,
): Promise<Reply> {
  try {
    faults.replace(await request.json());
  } catch (error) {
    return json({ error: (error as Error).message }, 400);
  }
  await processFaults.begin(faults.current);
  onFaults?.();
  return json(faults.current);
}

const isLoopback = (address: string) => address === '::1' || /^(::ffff:)?127\./.test(address);
