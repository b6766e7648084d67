import { constants } from 'node:os';
import {
  type Artifact,
  type BootNode,
  type BootPhase,
  type BootReport,
  type ErrorReport,
  type InstanceOutcome,
  type InstanceStatus,
  type JobEvent,
  type JobResult,
  type JobStatus,
  jobStates,
  type LastExit,
  type LogRecord,
  logLevels,
  type QueueDepth,
  type WorkInHand,
} from '@mgpu/core';
import { z } from 'zod';
import {
  apiVersion,
  type ConfigReport,
  type DaemonStatus,
  type Envelope,
  type GpuGauges,
  type IncidentReport,
  type IncidentSummary,
  type MachineEvent,
  type MachineGpu,
  type MachineStatus,
  type OperationProgress,
  type TaskEvent,
  type TaskStatus,
} from '../contract.ts';
import type { LinesEvent } from '../logs/log-broadcasts.ts';
import type { FormerService, FormerServiceEntry, FormerStatus } from '../routes/former.ts';
import type { HealthReport, ServiceHealth } from '../routes/probes.ts';
import type { ErrorEvent } from '../streams/event-streams.ts';
import { tied } from './tied.ts';

// What is answered, as schemas for the document alone: nothing is parsed with them. Each is closed but where anything may be in it.

const text = z.string();
const time = text.meta({ format: 'date-time' });
const count = z.int().min(0);
const milliseconds = z.number().min(0);
const openObject = z.record(z.string(), z.unknown());
const gpuIndex = count
  .describe('Index of its GPU; left out for what belongs to the machine as a whole')
  .exactOptional();

const anyError = z.strictObject({
  code: text.describe('Stable name to match on, such as `CORE_PORT_IN_USE`'),
  message: text.describe('One sentence for people'),
  hint: text.describe('What to do about it').exactOptional(),
  retryable: z.boolean().describe('Whether the same request may succeed later without anybody changing anything'),
  details: openObject.describe('Observed values').exactOptional(),
  get cause() {
    return anyError.optional(); // TypeScript loses sight of one that is exactly optional
  },
});
export const errorReport = tied<ErrorReport>()('ErrorReport', anyError);

export const envelopeOf = (kind: string, data: z.ZodType) =>
  z.strictObject({ apiVersion: z.literal(apiVersion), kind: z.literal(kind), data });

export const errorAnswer = envelopeOf('Error', errorReport).meta({ id: 'Error' });

const anyEnvelope = tied<Envelope>()(
  'Envelope',
  z.strictObject({
    apiVersion: z.literal(apiVersion),
    kind: text.describe('What `data` is'),
    data: z.unknown(),
  }),
);

// The boot.

const bootOutcomes = ['running', 'ok', 'failed', 'skipped', 'cancelled'] as const;

const bootNode = tied<BootNode>()(
  'BootNode',
  z.strictObject({
    id: text,
    critical: z.boolean().describe('Whether its failure stops the boot'),
    startedMs: milliseconds.describe('Milliseconds from the beginning of the boot to its own'),
    ms: milliseconds.describe('Milliseconds it took'),
    outcome: z.enum(bootOutcomes),
    waitedFor: text.describe('What was the last to be there: an instance, or an install step').exactOptional(),
    error: errorReport.exactOptional(),
  }),
);

const bootPhase = tied<BootPhase>()(
  'BootPhase',
  z.strictObject({
    name: text,
    critical: z.boolean().describe('Whether any of its steps is'),
    outcome: z.enum(bootOutcomes).describe('The worst of its steps'),
    startedMs: milliseconds.describe('Milliseconds from the beginning of the boot to its own'),
    ms: milliseconds.describe('Milliseconds it took'),
    nodes: z.array(bootNode).describe('Its steps, in the order in which they ended'),
  }),
);

export const bootReport = tied<BootReport>()(
  'BootReport',
  z.strictObject({
    v: z.literal(1),
    daemonRun: text.describe('UUID of the life of the daemon'),
    startedAt: time,
    totalMs: milliseconds.describe('Milliseconds from the beginning to the end, or up to now'),
    outcome: z.enum([...bootOutcomes, 'degraded']).describe('`degraded`: something that is not critical failed'),
    phases: z.array(bootPhase),
  }),
);

// Jobs.

export const jobId = text.describe('Id of the job');

const jobProgress = z
  .strictObject({
    percent: z.number().min(0).max(100),
    node: text.describe('What is being done, such as the id of the node').exactOptional(),
    step: z.number().exactOptional(),
    steps: z.number().exactOptional(),
  })
  .meta({ id: 'JobProgress' });

const artifact = tied<Artifact>()(
  'Artifact',
  z.strictObject({
    name: text.describe('Relative path with `/`, unique within the job'),
    path: text.describe('Absolute path on the machine that ran the job'),
    mediaType: text,
    bytes: count,
    sha256: text.regex(/^[0-9a-f]{64}$/).describe('SHA-256 of its bytes, in hexadecimal'),
    origin: z
      .record(z.string(), text)
      .describe('Which part of the job made it, such as the node of a workflow')
      .exactOptional(),
  }),
);

const jobResult = tied<JobResult>()(
  'JobResult',
  z.strictObject({
    v: z.literal(1),
    artifacts: z.array(artifact).describe('The files it has made'),
    timings: z.strictObject({
      queuedMs: milliseconds.describe('Milliseconds from submission to a worker taking it'),
      runMs: milliseconds.describe('Milliseconds from being taken to the last artifact stored'),
      totalMs: milliseconds.describe('Milliseconds of both'),
    }),
    machine: text.describe('Id of the machine that ran it and has the artifacts'),
    engine: text.describe('Instance id of the engine, such as `comfyui_gpu0`'),
    attempt: count.describe('Attempts it took, counted from 1'),
    output: openObject.describe('What the engine told besides files').exactOptional(),
  }),
);

export const jobStatus = tied<JobStatus>()(
  'JobStatus',
  z.strictObject({
    id: jobId,
    type: text.describe('Job type; the queue is `mgpu-<type>`'),
    state: z.enum(jobStates),
    progress: jobProgress.exactOptional(),
    result: jobResult.exactOptional(),
    error: errorReport.exactOptional(),
    metadata: openObject.describe('As it was submitted').exactOptional(),
    createdAt: time,
  }),
);

export const jobSubmitted = z.strictObject({ id: jobId });

export const jobEvent = tied<JobEvent>()(
  'JobEvent',
  z.discriminatedUnion('event', [
    z.strictObject({
      event: z.literal('state'),
      state: z.enum(['waiting', 'active']),
      attempt: count.describe('Counted from 1').exactOptional(),
    }),
    z.strictObject({ event: z.literal('progress'), progress: jobProgress }),
    z.strictObject({
      event: z.literal('preview'),
      mediaType: text.describe('Media type of the picture, such as `image/jpeg`'),
      data: text.meta({ contentEncoding: 'base64' }).describe('The picture'),
    }),
    z.strictObject({ event: z.literal('ended'), status: jobStatus }).describe('The last one'),
  ]),
);
export const submittedEvent = z
  .strictObject({ event: z.literal('submitted'), id: jobId })
  .meta({ id: 'JobSubmittedEvent', description: 'The first one where a job is submitted and watched at once' });

export const errorEvent = tied<ErrorEvent>()(
  'ErrorEvent',
  z
    .strictObject({ event: z.literal('error'), error: errorReport })
    .describe('The last one of a stream that could not go on'),
);

// Instances.

const workInHand = tied<WorkInHand>()(
  'WorkInHand',
  z.strictObject({
    job: jobId,
    since: time,
    progressAt: time.describe('When it last made progress; `since` when there was none yet'),
    progress: jobProgress.exactOptional(),
  }),
);

const lastExit = tied<LastExit>()(
  'LastExit',
  z.strictObject({
    at: time,
    run: text.describe('Id of the run'),
    code: z.int().nullable().describe('Exit code; null where a signal ended it, or where nobody can know'),
    signal: z.enum(Object.keys(constants.signals) as NodeJS.Signals[]).nullable(),
    uptimeMs: milliseconds.describe('Milliseconds since the run began, its preparation included'),
  }),
);

export const instanceStatus = tied<InstanceStatus>()(
  'InstanceStatus',
  z.strictObject({
    id: text,
    kind: text.describe('Kind of service'),
    gpu: gpuIndex,
    state: z.enum([
      'stopped',
      'blocked',
      'starting',
      'running',
      'stopping',
      'cleaning',
      'backoff',
      'failed',
      'completed',
      'unkillable',
    ]),
    health: z
      .enum(['unknown', 'ready', 'notReady', 'degraded'])
      .describe('Of meaning only while running. `degraded`: works, but something it uses does not'),
    reason: z
      .union([errorReport, z.strictObject({ message: text })])
      .describe('Why it is in this state, or not healthy')
      .exactOptional(),
    since: time.describe('When its state or health changed last'),
    run: text.describe('Id of the present run').exactOptional(),
    startedAt: time.describe('When the present run began').exactOptional(),
    pid: count.exactOptional(),
    port: count.exactOptional(),
    endpoint: text.describe('URL by which it can be reached').exactOptional(),
    adopted: z.literal(true).describe('Set while its process is one that a former daemon started').exactOptional(),
    outdated: z
      .literal(true)
      .describe('Set while its process runs by other settings than those in force')
      .exactOptional(),
    lastExit: lastExit.exactOptional(),
    critical: z.boolean().describe('Whether the machine is of no use without it'),
    desired: z.enum(['up', 'down']),
    attempt: count.describe('Restarts since somebody last asked for it'),
    until: time.describe('When it is started next, while in backoff or given up').exactOptional(),
    work: z.array(workInHand).describe('Jobs that it has in hand, as far as whoever feeds it says').exactOptional(),
  }),
);

export const instanceOutcome = tied<InstanceOutcome>()(
  'InstanceOutcome',
  z.strictObject({
    instance: instanceStatus,
    error: errorReport.exactOptional(),
  }),
);

// The machine.

const gpuGauges = tied<GpuGauges>()(
  'GpuGauges',
  z.strictObject({
    at: time.describe('When it was asked'),
    memoryTotalMiB: z.number().exactOptional(),
    memoryUsedMiB: z.number().exactOptional(),
    temperatureC: z.number().describe('Degrees Celsius').exactOptional(),
    utilizationPercent: z
      .number()
      .describe('Share of the last moments in which something was computed, 0 to 100')
      .exactOptional(),
    powerW: z.number().describe('Watts').exactOptional(),
    powerLimitW: z.number().describe('Watts').exactOptional(),
    eccUncorrected: z.number().describe('Errors of memory since the driver was loaded').exactOptional(),
    remapPending: z.boolean().describe('Whether rows of memory are replaced at the next reset').exactOptional(),
    remapFailed: z.boolean().describe('Whether a row of memory could not be replaced').exactOptional(),
    slowdowns: z
      .array(z.enum(['hardware', 'heat', 'power']))
      .describe('What slows its clocks now')
      .exactOptional(),
  }),
);

const gpuFacts = {
  index: count.describe('Position in PCI bus order, counted from 0; one that is sick keeps its place'),
  name: text,
  memoryMiB: z.number().describe('MiB; 0 when unknown'),
  driver: text.exactOptional(),
  pciBusId: text.exactOptional(),
  gauges: gpuGauges.exactOptional(),
  outOfService: z
    .strictObject({ reason: text, hint: text, since: time })
    .describe('Why nothing is started on it')
    .exactOptional(),
};

const machineGpu = tied<MachineGpu>()(
  'MachineGpu',
  z.discriminatedUnion('mode', [
    z.strictObject({ ...gpuFacts, mode: z.literal('nvidia'), uuid: text.describe('Stable name, such as `GPU-5f3c…`') }),
    z.strictObject({
      ...gpuFacts,
      mode: z.enum(['cpu', 'mock']).describe('`cpu`: engines run on the CPU. `mock`: simulated'),
      uuid: text.exactOptional(),
    }),
  ]),
);

const daemonStatus = tied<DaemonStatus>()(
  'DaemonStatus',
  z.strictObject({
    pid: count,
    run: text.describe('UUID of this life of the daemon'),
    version: text,
    startedAt: time,
  }),
);

const subject = text.describe('Instance id, GPU UUID (its PCI bus id where that is not known), or `machine`');
const severity = z.enum(['info', 'warning', 'error', 'critical']);

const incidentSummary = tied<IncidentSummary>()(
  'IncidentSummary',
  z.strictObject({
    at: time,
    subject,
    severity,
    code: text,
    message: text,
    outcome: text.describe('What was done about it, or came of it, last').exactOptional(),
  }),
);

export const incidentReport = tied<IncidentReport>()(
  'IncidentReport',
  z.strictObject({
    id: text,
    at: time,
    subject,
    scope: z.enum(['job', 'process', 'gpu', 'host']),
    gpu: count.describe('Index of the GPU concerned').exactOptional(),
    severity,
    cause: z.strictObject({ code: text, message: text, hint: text.exactOptional() }),
    evidence: z.array(z.strictObject({ at: time, text })).describe('What led to the conclusion'),
    lastWords: z.array(text).describe('The last lines that its process printed'),
    actions: z.array(z.strictObject({ at: time, what: text })).describe('What was done about it, in order'),
  }),
);

const queueDepth = tied<QueueDepth>()(
  'QueueDepth',
  z
    .strictObject({
      type: text,
      waiting: count,
      active: count,
      delayed: count.describe('Waiting for their next attempt'),
      failed: count.describe('Failed or cancelled, of those that are kept'),
    })
    .describe('How many jobs of one type are in the queue, of all machines that share it'),
);

export const machineStatus = tied<MachineStatus>()(
  'MachineStatus',
  z.strictObject({
    machineId: text,
    root: text.describe('Absolute path of its folder'),
    state: z.enum(['booting', 'running', 'stopping']),
    daemon: daemonStatus,
    gpus: z.array(machineGpu),
    boot: bootReport,
    instances: z.array(instanceStatus),
    problems: z.array(errorReport).describe('What is wrong with the machine as a whole'),
    queues: z
      .array(queueDepth)
      .describe('The queue of each type of job that is done here; left out while nobody answers for it')
      .exactOptional(),
    lastIncident: incidentSummary.exactOptional(),
  }),
);

export const configReport = tied<ConfigReport>()(
  'ConfigReport',
  z.strictObject({
    file: text.nullable().describe('Absolute path; null where there is none: defaults and environment'),
    config: z.unknown().describe('Everything in force, secrets left out'),
  }),
);

export const machineEvent = tied<MachineEvent>()(
  'MachineEvent',
  z.discriminatedUnion('event', [
    z
      .strictObject({ event: z.literal('snapshot'), data: machineStatus })
      .describe('Comes first on every stream that does not go on with a former one'),
    z.strictObject({ event: z.literal('phase'), data: bootPhase }),
    z.strictObject({ event: z.literal('instance'), data: instanceStatus }),
    z
      .strictObject({
        event: z.literal('boot'),
        data: z.strictObject({ report: bootReport, error: errorReport.exactOptional() }),
      })
      .describe('A boot ended: of everything, with `error` when it failed, or later of what was missing'),
  ]),
);

// Logs.

export const logRecord = tied<LogRecord>()(
  'LogRecord',
  z.strictObject({
    v: z.literal(1),
    time: time.describe('By when its first byte was written'),
    instance: text,
    level: z.enum(logLevels),
    text: text.describe('Without control sequences'),
    offset: count.describe('Logical offset of its first byte, which identifies it within its log'),
    end: count.describe('Logical offset of what follows'),
    earliest: time
      .nullable()
      .describe('Nobody kept the log when it was written: it may be as old as this, or null for unknown')
      .exactOptional(),
    lost: count.describe('So many bytes before it are lost; 0 where nobody can tell how many').exactOptional(),
    partial: z
      .literal(true)
      .describe('It has no end yet: it comes again, with the same offset, when there is more of it')
      .exactOptional(),
    split: z.literal(true).describe('It goes on in the next one').exactOptional(),
  }),
);

export const logs = z.strictObject({
  lines: z.array(logRecord),
  cursor: text.describe('As `Last-Event-ID` of /v1/logs/events it goes on after these lines'),
});

export const linesEvent = tied<LinesEvent>()(
  'LinesEvent',
  z.strictObject({ event: z.literal('lines'), data: z.array(logRecord) }),
);

// Operations and tasks.

const operationProgress = tied<OperationProgress>()(
  'OperationProgress',
  z.strictObject({
    text: text.describe('One line for people'),
    percent: z.number().describe('0 to 100, where that can be told').exactOptional(),
  }),
);

export const taskStatus = tied<TaskStatus>()(
  'TaskStatus',
  z.strictObject({
    id: text,
    operation: text.describe('Name of the operation'),
    state: z.enum(['running', 'completed', 'failed', 'cancelled']),
    input: z.unknown().describe('As it was asked for, secrets left out'),
    progress: operationProgress.exactOptional(),
    result: anyEnvelope.describe('What it answers, when completed').exactOptional(),
    error: errorReport.exactOptional(),
    createdAt: time,
    endedAt: time.exactOptional(),
  }),
);

export const taskEvent = tied<TaskEvent>()(
  'TaskEvent',
  z.discriminatedUnion('event', [
    z.strictObject({ event: z.literal('progress'), progress: operationProgress }),
    z.strictObject({ event: z.literal('ended'), status: taskStatus }).describe('The last one'),
  ]),
);

export const operation = z
  .strictObject({
    name: text.describe('`<service>.<verb>`, such as `models.pull`'),
    summary: text,
    changes: z.boolean().describe('Whether it changes anything'),
    input: openObject.describe('JSON Schema of its input'),
  })
  .meta({ id: 'Operation' });

// Probes.

const serviceHealthShape = {
  healthy: z.boolean(),
  status: text.describe('State of the instance, or while it runs its health where that is not `ready`'),
  pid: count.exactOptional(),
  restarts: count.describe('Restarts since somebody last asked for it'),
  error: text.describe('Why it is not well').exactOptional(),
};
const serviceHealth = tied<ServiceHealth>()('ServiceHealth', z.strictObject(serviceHealthShape));

export const healthReport = tied<HealthReport>()(
  'HealthReport',
  z.strictObject({
    healthy: z.boolean(),
    state: z.enum(['booting', 'running', 'stopping']),
    uptime: milliseconds.describe('Milliseconds since the daemon was started'),
    services: z
      .record(z.string(), serviceHealth)
      .describe('By the id of the instance; only for whoever shows the token')
      .exactOptional(),
  }),
);

// What the predecessors answered.

const formerFacts = {
  name: text.describe('Id of the instance'),
  type: text.describe('Kind of service'),
  status: serviceHealthShape.status,
  gpu: gpuIndex,
  port: count.exactOptional(),
  endpoint: text.exactOptional(),
};

export const formerServices = z.strictObject({
  services: z.array(tied<FormerServiceEntry>()('FormerServiceEntry', z.strictObject(formerFacts))),
  count,
});

const formerService = tied<FormerService>()(
  'FormerService',
  z.strictObject({
    ...formerFacts,
    enabled: z.boolean(),
    health: z.enum(['healthy', 'unhealthy']).exactOptional(),
    installed: z.boolean().exactOptional(),
    restarts: count.exactOptional(),
    pid: count.exactOptional(),
    started_at: time.exactOptional(),
    uptime: milliseconds.describe('Milliseconds of the present run').exactOptional(),
    message: text.describe('Why it is not well').exactOptional(),
  }),
);

export const formerStatus = tied<FormerStatus>()(
  'FormerStatus',
  z.strictObject({
    version: text.describe('Of the daemon'),
    machine_id: text,
    timestamp: time,
    uptime: milliseconds.describe('Milliseconds since the daemon was started'),
    services: z.record(z.string(), formerService).describe('By the id of the instance'),
  }),
);

export const formerVersion = z.strictObject({ version: text });
export const formerServiceHealth = z.strictObject({ service: text, ...serviceHealthShape });
export const formerServiceLogs = z.strictObject({ service: text, logs: z.array(logRecord) });
export const formerLogs = z.strictObject({ logs: z.array(logRecord).describe('The newest first'), count });
export const formerMessage = z.strictObject({ message: text });
export const formerError = z.strictObject({ error: text });
export const formerRefresh = z.strictObject({ message: text, machine_id: text, timestamp: time });
