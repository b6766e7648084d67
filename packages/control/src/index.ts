export type { ControlAddress } from './client/connection.ts';
export { ControlClient, type ControlClientOptions, type LogOptions, type LogPage } from './client/control-client.ts';
export {
  apiVersion,
  type ConfigReport,
  type DaemonStatus,
  type Envelope,
  envelope,
  type GpuGauges,
  type IncidentReport,
  type IncidentSummary,
  type InstanceLog,
  type InstanceMeasures,
  type MachineControl,
  type MachineEvent,
  type MachineGpu,
  type MachineLogs,
  type MachineMeasures,
  type MachineStatus,
  type Operation,
  type OperationProgress,
  type TaskEvent,
  type TaskState,
  type TaskStatus,
} from './contract.ts';
export { ControlApi, type ControlApiOptions } from './control-api.ts';
export { type ControlOptions, ControlService } from './control-service.ts';
export {
  type DaemonLaunch,
  type DaemonNews,
  type LaunchedDaemon,
  launchDaemon,
  launcherOf,
} from './daemon-launch.ts';
export { DaemonNotRunningError, DaemonRunningError, HeldError, JobsUnavailableError } from './errors.ts';
export { type HttpConfig, httpSchema } from './http/config.ts';
export { http } from './http/definition.ts';
export { type HttpOptions, HttpService } from './http/http-service.ts';
export { ensureToken, rotateToken, tokenPath } from './http/token.ts';
export { metricsText } from './metrics-text.ts';
export { socketPathOf } from './socket-path.ts';
