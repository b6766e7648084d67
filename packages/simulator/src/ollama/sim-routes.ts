import { ApiError } from './api-error.ts';
import type { Engine } from './engine.ts';
import type { Route } from './routes.ts';

/** The control routes of the simulator itself. */
export function simRoutesOf(engine: Engine): ReadonlyMap<string, Route> {
  const { faults, scheduler, simulation } = engine;
  return new Map<string, Route>([
    ['GET /sim/faults', () => ({ body: { ...faults.current } })],
    [
      'PUT /sim/faults',
      async ({ json }) => {
        try {
          faults.replace(await json());
        } catch (error) {
          throw new ApiError(400, (error as Error).message);
        }
        return { body: { ...faults.current } };
      },
    ],
    [
      'GET /sim/state',
      () => ({
        body: {
          pid: process.pid,
          version: simulation.version,
          uptimeMs: Math.round(performance.now()),
          active: scheduler.active,
          loads: scheduler.loads,
          answered: engine.answered,
          environment: engine.environment.shown,
          strikes: faults.strikes,
        },
      }),
    ],
  ]);
}
