import type { ProcessFaults } from '../../faults/process-faults.ts';
import type { Route } from '../../http.ts';
import { simRoutes } from '../../sim-routes.ts';
import type { Engine } from '../engine.ts';

/** The control routes of the simulated ComfyUI. */
export function comfySimRoutes(engine: Engine, processFaults: ProcessFaults): Route[] {
  const { queue, executor, faults, hub, simulation } = engine;
  return simRoutes({
    faults,
    processFaults,
    state: () => ({
      version: simulation.version,
      cpuMs: Math.round((process.cpuUsage().user + process.cpuUsage().system) / 1000),
      running: queue.running?.id ?? null,
      pending: queue.pending.length,
      executedPrompts: executor.executedPrompts,
      cachedResults: engine.cachedResults(),
      sockets: hub.size,
    }),
    onFaults: () => {
      // Asked for zero messages, those who are connected are cut at once.
      if (faults.current.websocket?.dropAfter === 0 && faults.strike('websocket') !== undefined) hub.dropAll();
    },
  });
}
