import { defineService } from '@mgpu/core';
import { watchdogEnvironment, watchdogSchema } from './config.ts';
import { WatchdogService } from './watchdog-service.ts';

/** The machine's recovery. A machine without it goes on as well as it can, and says so. */
export const watchdog = defineService({
  api: 1,
  kind: 'watchdog',
  summary: 'Restarts what failed, ends what hangs, acts on faults of GPUs, disk and memory',
  scope: 'machine',
  schema: watchdogSchema,
  env: watchdogEnvironment,
  phase: 'watchdog',
  critical: false,
  create: (config, context) => new WatchdogService(config, context),
});
