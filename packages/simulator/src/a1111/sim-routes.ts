import type { ProcessFaults } from '../faults/process-faults.ts';
import type { Route } from '../http.ts';
import { simRoutes } from '../sim-routes.ts';
import type { Webui } from './webui.ts';

/** The control routes of the simulated Automatic1111. */
export const webuiSimRoutes = (webui: Webui, processFaults: ProcessFaults): Route[] =>
  simRoutes({
    faults: webui.faults,
    processFaults,
    state: () => ({
      queued: webui.lock.size,
      finishedJobs: webui.finishedJobs,
      loaded: webui.loaded?.title ?? null,
    }),
  });
