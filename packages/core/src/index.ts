export { connectorNames, connectorsFromText, enabledByConnectors } from './config/connector-names.ts';
export { describeIssues } from './config/describe-issues.ts';
export {
  booleanFromText,
  type EnvironmentBinding,
  environmentBindings,
  numberFromText,
  rootInEnvironment,
} from './config/environment.ts';
export {
  findConfigFile,
  type LoadConfigOptions,
  type LoadedConfig,
  loadConfig,
  readConfigFile,
} from './config/load-config.ts';
export { loadPlugins } from './config/load-plugins.ts';
export {
  composeConfigSchema,
  configJsonSchema,
  gpuSelectionSchema,
  type MachineConfig,
} from './config/machine-config.ts';
export { wordsFromText } from './config/shell-words.ts';
export {
  type AnyServiceDefinition,
  type Dependency,
  type DependencyState,
  defineService,
  type EnvironmentVariable,
  type Finding,
  type InstallContext,
  type ServiceDefinition,
  type ServiceSchema,
} from './definition/define-service.ts';
export { findingOf } from './definition/finding.ts';
export { type RequiredVersion, versionFinding } from './definition/version-finding.ts';
export { Emitter } from './emitter.ts';
export * as coreErrors from './errors/core-errors.ts';
export { JobUnknownError, StartAbortedError } from './errors/core-errors.ts';
export { definedErrors } from './errors/define-error.ts';
export { reviveError } from './errors/mgpu-error.ts';
export { nearest } from './errors/nearest.ts';
export { removeDrafts, writeFileAtomically } from './files/atomic.ts';
export { type Layout, layoutOf } from './files/layout.ts';
export { type LinkTreeOptions, linkTree } from './files/link-tree.ts';
export { LinkedFolders } from './files/linked-folders.ts';
export { isFolderLocked, lockFolder } from './files/lock-folder.ts';
export { machineIdOf } from './files/machine-id.ts';
export {
  type ModelFolders,
  makeModelFolders,
  modelPathsText,
  readModelFolders,
  sharedFolders,
} from './files/model-folders.ts';
export { pngSize } from './files/png-size.ts';
export { makePrivateFolder, privateFolderOf } from './files/private-folder.ts';
export { expectSocketPath, instanceSocketPath, prepareSocket, socketUrl } from './files/socket-path.ts';
export { type VersionedFile, versionedFile } from './files/versioned.ts';
export { type GitAccessFiles, gitAccessFiles, gitEnvironment } from './git/git-environment.ts';
export { type FindGpusOptions, findGpus, type GpuPreference } from './gpu/find-gpus.ts';
export { cpuGpu, type Gpu, type GpuInventory, gpuEnvironment, gpuIndex, mockGpus } from './gpu/gpu.ts';
export {
  type GpuHealthSample,
  GpuMonitor,
  type GpuMonitorOptions,
  type GpuSampleOptions,
} from './gpu/gpu-monitor.ts';
export type { ComputeApp, GpuHealth, Slowdown } from './gpu/health/parse.ts';
export type { GpuProblem } from './gpu/health/problem.ts';
export { pciBus } from './gpu/pci-bus.ts';
export { instantFromText } from './instance-log/instant-from-text.ts';
export { type KeepLogOptions, keepLog, type LogKeeper } from './instance-log/keep-log.ts';
export { lastLines } from './instance-log/last-lines.ts';
export type { LineMatcher, NamedLine } from './instance-log/line-sieve.ts';
export type { NamedLog } from './instance-log/line-source.ts';
export { type LogLimits, logLimits } from './instance-log/log-limits.ts';
export { type LogRecord, logRecord } from './instance-log/log-record.ts';
export { lastLineEnd, logEnd } from './instance-log/log-source.ts';
export { printable } from './instance-log/printable.ts';
export { type LogLine, LogReader, type ReadLogOptions, readLog, readLogBatches } from './instance-log/read-log.ts';
export { type ReadLogsOptions, readLogs } from './instance-log/read-logs.ts';
export type { ConnectorDefinition } from './jobs/connector.ts';
export * from './jobs/index.ts';
export { createDaemonLog, type DaemonLog, type DaemonLogOptions } from './logs/winston.ts';
export {
  type BootNode,
  type BootOutcome,
  type BootPhase,
  type BootReport,
  BootTrace,
} from './orchestrator/boot-trace.ts';
export { keepBoot, latestBoot } from './orchestrator/kept-boots.ts';
export type { InstanceOutcome, InstanceVerb } from './orchestrator/operate.ts';
export { type MachineEvents, Orchestrator, type OrchestratorOptions } from './orchestrator/orchestrator.ts';
export { type MachinePlan, type PlannedInstance, type PlannedPort, planMachine } from './orchestrator/plan.ts';
export {
  type Choice,
  gpuNamed,
  instancesOfKind,
  type Selectable,
  selectInstances,
} from './orchestrator/select-instances.ts';
export { type SettleOptions, settleRoot } from './orchestrator/settle-root.ts';
export { allOfProbe } from './probe/all-of-probe.ts';
export { type HttpExpectation, type HttpProbeOptions, httpProbe } from './probe/http-probe.ts';
export { logLineProbe } from './probe/log-line-probe.ts';
export { isOurFault } from './probe/our-fault.ts';
export {
  type LivenessProbe,
  type Probe,
  type ProbeContext,
  type ProbeOutcome,
  type Probes,
  probeFail,
  probeOk,
  type RunningProbe,
  type StartupProbe,
} from './probe/probe.ts';
export { tcpProbe } from './probe/tcp-probe.ts';
export { untilNextTry } from './probe/until-next-try.ts';
export { findProgram } from './process/find-program.ts';
export { folderUsers } from './process/folder-users.ts';
export { type FollowOptions, followCommand } from './process/follow-command.ts';
export { isLoopback } from './process/is-loopback.ts';
export { leasePorts, type PortLease } from './process/port-lease.ts';
export { expectPortsFree, isPortFree, type ListenAddress, portHolder, socketHolder } from './process/ports.ts';
export { processTreeOf, residentBytes } from './process/process-memory.ts';
export { bootId, commandLineOf, listProcesses, type ProcessFacts, readProcess } from './process/process-table.ts';
export { type RequiredProgram, requireProgram } from './process/require-program.ts';
export { type CommandOptions, type CommandResult, runCommand } from './process/run-command.ts';
export type { ProcessExit, ProcessSpec } from './process/spawn.ts';
export { type StreamOptions, type StreamResult, streamCommand } from './process/stream-command.ts';
export { type Survivor, survivorsOn } from './process/survivors.ts';
export { forEachBounded, type RetryOptions, retrying } from './repeat.ts';
export { BaseService } from './service/base-service.ts';
export {
  instanceId,
  type MachineView,
  type ServiceContext,
  type StandaloneOptions,
  standaloneContext,
} from './service/context.ts';
export { ProcessService } from './service/process-service.ts';
export type { Cleanup, DeferOptions, Run, RunEnd } from './service/run.ts';
export type {
  Health,
  HealthClaim,
  HealthReport,
  InstanceStatus,
  LastExit,
  ServiceEvents,
  ServiceState,
  ServiceStatus,
  StartOptions,
  StopOptions,
} from './service/types.ts';
export {
  type Failure,
  neverRestart,
  type PastFailure,
  pastFailure,
  type RestartDecision,
  type RestartPolicy,
} from './supervision/restart-policy.ts';
export type { Backoff, Supervision } from './supervision/supervision.ts';
export type {
  Observation,
  SupervisedInstance,
  Supervisor,
  SupervisorEvents,
  WorkInHand,
} from './supervision/supervisor.ts';
