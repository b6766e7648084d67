// What runs inside a worker process: the job envelope, the connector contract and errors, without the machinery.
export { abortable, type Clock, deadline, systemClock } from '../clock.ts';
export { JobHandoverError } from '../errors/core-errors.ts';
export { defineError, type ErrorClass, type ErrorDefinition } from '../errors/define-error.ts';
export {
  type ErrorReport,
  MgpuError,
  type MgpuErrorOptions,
  reportError,
  toMgpuError,
} from '../errors/mgpu-error.ts';
export { problemsOf } from '../errors/problems-of.ts';
export { ignore, ignoreMissing } from '../files/ignore.ts';
export { type CudaFault, cudaFault } from '../gpu/cuda-fault.ts';
export { type LogFields, type Logger, type LogLevel, loggerTo, logLevels, silentLogger } from '../logs/logger.ts';
export { redact } from '../logs/redact.ts';
export type { Endpoint } from '../service/types.ts';
export {
  type Connector,
  type ConnectorBinding,
  type ConnectorFactory,
  type ConnectorFactoryOptions,
  type ConnectorIo,
  type ConnectorJob,
  type ConnectorResult,
  faultOf,
  type JobFault,
  type JobPreview,
  type JobProgress,
  type ProducedFile,
} from './connector.ts';
export {
  type Artifact,
  type JobEvent,
  type JobListOptions,
  type JobQueue,
  type JobRequest,
  type JobResult,
  type JobState,
  type JobStatus,
  type JobTimings,
  jobListSchema,
  jobRequestSchema,
  jobStates,
  type QueueDepth,
} from './job.ts';
export {
  type AttemptOutcome,
  type AttemptTotals,
  durationBounds,
  type IdleTotals,
  type WorkTotals,
} from './work-totals.ts';
