import { json, type Reply, type Request, type Route } from '../comfyui/http.ts';
import type { ProcessFaults } from '../comfyui/process-faults.ts';
import type { Webui } from './webui.ts';

/** The control routes of the simulator itself, for callers on this machine. */
export function simRoutes(webui: Webui, processFaults: ProcessFaults): Route[] {
  const local = (handle: (request: Request) => Reply | Promise<Reply>) => (request: Request) =>
    isLoopback(request.raw.socket.remoteAddress ?? '')
      ? handle(request)
      : json({ error: 'only from this machine' }, 403);
  return [
    { method: 'GET', path: '/sim/faults', handle: local(() => json(webui.faults.current)) },
    { method: 'PUT', path: '/sim/faults', handle: local((request) => replaceFaults(webui, processFaults, request)) },
    { method: 'GET', path: '/sim/state', handle: local(() => json(state(webui, processFaults.childPid))) },
  ];
}

async function replaceFaults({ faults }: Webui, processFaults: ProcessFaults, request: Request): Promise<Reply> {
  try {
    faults.replace(await request.json());
  } catch (error) {
    return json({ error: (error as Error).message }, 400);
  }
  await processFaults.begin(faults.current);
  return json(faults.current);
}

function state({ faults, lock, loaded, finishedJobs }: Webui, childPid: number | undefined) {
  return {
    pid: process.pid,
    childPid: childPid ?? null,
    uptimeMs: Math.round(performance.now()),
    queued: lock.size,
    finishedJobs,
    loaded: loaded?.title ?? null,
    strikes: faults.strikes,
  };
}

const isLoopback = (address: string) => address === '::1' || /^(::ffff:)?127\./.test(address);
