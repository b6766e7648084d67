export { ControlClient, type ControlClientOptions } from './client.ts';
export {
  apiVersion,
  type DaemonStatus,
  type Envelope,
  envelope,
  type GpuGauges,
  type IncidentSummary,
  type InstanceMeasures,
  type MachineControl,
  type MachineEvent,
  type MachineGpu,
  type MachineMeasures,
  type MachineStatus,
} from './contract.ts';
export { type ControlOptions, ControlService } from './control-service.ts';
export {
  type DaemonLaunch,
  type DaemonNews,
  type LaunchedDaemon,
  launchDaemon,
  launcherOf,
} from './daemon-launch.ts';
export { DaemonNotRunningError, DaemonRunningError, HeldError, JobsUnavailableError } from './errors.ts';
export { metricsText } from './metrics-text.ts';
export { socketPathOf } from './socket-path.ts';
