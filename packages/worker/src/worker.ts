import { booleanFromText, connectorsFromText, defineService } from '@mgpu/core';
import { workerConfigSchema } from './worker-config.ts';
import { WorkerService } from './worker-service.ts';

/** Feeds the engines of a GPU with jobs from the queue. A machine without workers is degraded, not down. */
export const worker = defineService({
  api: 1,
  kind: 'worker',
  summary: 'Feeds the engines with jobs from the queue',
  scope: 'gpu',
  schema: workerConfigSchema,
  env: {
    ENABLE_REDIS_WORKERS: { key: 'enabled', summary: 'Whether workers run', parse: booleanFromText },
    WORKER_CONNECTORS: {
      key: 'connectors',
      summary: 'Kinds of engines to feed, separated by commas',
      parse: connectorsFromText,
    },
    WORKERS: {
      key: 'connectors',
      summary: 'The same, with counts that say nothing; wins over WORKER_CONNECTORS',
      parse: connectorsFromText,
    },
  },
  phase: 'workers',
  critical: false,
  // Only started, not ready: a worker waits for both by itself, but has to stop before them.
  dependsOn: [
    { on: 'redis', when: 'started' },
    { on: 'connector', when: 'started' },
  ],
  // It hands its jobs over, so that a replaced one loses nothing.
  supervision: { whenOutdated: 'restart' },
  create: (config, context) => new WorkerService(config, context),
});
