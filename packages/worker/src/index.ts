export { JobClient, type JobClientOptions } from './job-client.ts';
export { type EngineStatus, type JobInHand, statusFile, type WorkerStatus } from './status-file.ts';
export { readStatus } from './status-probe.ts';
export { worker } from './worker.ts';
export { type WorkerConfig, workerConfigSchema } from './worker-config.ts';
export { WorkerService } from './worker-service.ts';
