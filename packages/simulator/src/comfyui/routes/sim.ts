import type { Engine } from '../engine.ts';
import { json, type Reply, type Request, type Route } from '../http.ts';
import type { ProcessFaults } from '../process-faults.ts';

/** The control routes of the simulator itself. They answer loopback callers only, so that `--listen` exposes no switch. */
export function simRoutes(engine: Engine, processFaults: ProcessFaults): Route[] {
  const local = (handle: (request: Request) => Reply | Promise<Reply>) => (request: Request) =>
    isLoopback(request.raw.socket.remoteAddress ?? '')
      ? handle(request)
      : json({ error: 'only from this machine' }, 403);
  return [
    { method: 'GET', path: '/sim/faults', handle: local(() => json(engine.faults.current)) },
    { method: 'PUT', path: '/sim/faults', handle: local((request) => replaceFaults(engine, processFaults, request)) },
    { method: 'GET', path: '/sim/state', handle: local(() => json(state(engine, processFaults.childPid))) },
  ];
}

async function replaceFaults({ faults, hub }: Engine, processFaults: ProcessFaults, request: Request): Promise<Reply> {
  try {
    faults.replace(await request.json());
  } catch (error) {
    return json({ error: (error as Error).message }, 400);
  }
  await processFaults.begin(faults.current);
  // Asked for zero messages, those who are connected are cut at once.
  if (faults.current.websocket?.dropAfter === 0 && faults.strike('websocket') !== undefined) hub.dropAll();
  return json(faults.current);
}

function state(engine: Engine, childPid: number | undefined) {
  const { queue, executor, faults, hub, simulation } = engine;
  return {
    pid: process.pid,
    childPid: childPid ?? null,
    version: simulation.version,
    uptimeMs: Math.round(performance.now()),
    cpuMs: Math.round((process.cpuUsage().user + process.cpuUsage().system) / 1000),
    running: queue.running?.id ?? null,
    pending: queue.pending.length,
    executedPrompts: executor.executedPrompts,
    cachedResults: engine.cachedResults(),
    sockets: hub.size,
    strikes: faults.strikes,
  };
}

const isLoopback = (address: string) => address === '::1' || /^(::ffff:)?127\./.test(address);
