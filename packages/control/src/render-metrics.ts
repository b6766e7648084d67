import { type AttemptOutcome, durationBounds, type ServiceState } from '@mgpu/core';
import { Counter, Gauge, type Histogram, Registry } from 'prom-client';
import type { InstanceMeasures, MachineGpu, MachineMeasures, MachineStatus } from './contract.ts';

const mebibyte = 1_048_576;
const states: readonly ServiceState[] = [
  ...(['stopped', 'blocked', 'starting', 'running', 'stopping', 'cleaning'] as const),
  ...(['backoff', 'failed', 'completed', 'unkillable'] as const),
];
const outcomes: readonly AttemptOutcome[] = ['completed', 'failed', 'cancelled', 'retried'];

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number | undefined];

/** A machine in Prometheus' text format 0.0.4. Names and units as https://prometheus.io/docs/practices/naming has them. */
export async function renderMetrics(measures: MachineMeasures): Promise<string> {
  const registry = new Registry();
  const { status, instances } = measures;
  machineMetrics(registry, status);
  gpuMetrics(registry, status.gpus);
  instanceMetrics(registry, status, instances);
  workMetrics(registry, instances);
  return await registry.metrics();
}

/** What is not known is left out: a gauge that says 0 would be believed. */
function gauge(registry: Registry, name: string, help: string, samples: readonly Sample[]): void {
  const known = knownIn(samples);
  if (known.length === 0) return;
  const metric = new Gauge({ name, help, labelNames: labelNames(known), registers: [registry] });
  for (const [labels, value] of known) metric.set(labels, value);
}

function counter(registry: Registry, name: string, help: string, samples: readonly Sample[]): void {
  const known = knownIn(samples);
  if (known.length === 0) return;
  const metric = new Counter({ name, help, labelNames: labelNames(known), registers: [registry] });
  for (const [labels, value] of known) metric.inc(labels, value);
}

const knownIn = (samples: readonly Sample[]) =>
  samples.filter((each): each is readonly [Labels, number] => each[1] !== undefined);
const labelNames = (samples: readonly Sample[]) => [...new Set(samples.flatMap(([labels]) => Object.keys(labels)))];
const secondsSince = (iso: string) => Math.max(0, (Date.now() - Date.parse(iso)) / 1_000);

function machineMetrics(registry: Registry, { daemon, machineId, state, boot, problems, queues }: MachineStatus): void {
  gauge(registry, 'mgpu_build_info', 'Version of the daemon', [[{ version: daemon.version, machine: machineId }, 1]]);
  gauge(registry, 'mgpu_start_time_seconds', 'When the daemon was started, since the epoch', [
    [{}, Date.parse(daemon.startedAt) / 1_000],
  ]);
  gauge(registry, 'mgpu_machine_state', 'Whether the machine is in this state', [
    ...(['booting', 'running', 'stopping'] as const).map((each): Sample => [{ state: each }, state === each ? 1 : 0]),
  ]);
  gauge(registry, 'mgpu_machine_problems', 'Things that are wrong with the machine as a whole', [
    [{}, problems.length],
  ]);
  gauge(registry, 'mgpu_boot_duration_seconds', 'How long the last boot took, or takes by now', [
    [{}, boot.totalMs / 1_000],
  ]);
  gauge(
    registry,
    'mgpu_boot_phase_duration_seconds',
    'How long a phase of the last boot took',
    boot.phases.map(({ name, ms }) => [{ phase: name }, ms / 1_000]),
  );
  gauge(
    registry,
    'mgpu_queue_jobs',
    'Jobs in the queue, of all machines that share it',
    (queues ?? []).flatMap(({ type, ...counts }) =>
      Object.entries(counts).map(([state, count]): Sample => [{ type, state }, count]),
    ),
  );
}

function gpuMetrics(registry: Registry, gpus: readonly MachineGpu[]): void {
  const real = gpus.flatMap((gpu) => (gpu.uuid === undefined ? [] : [{ ...gpu, labels: labelsOf(gpu) }]));
  type Real = (typeof real)[number];
  const each = (name: string, help: string, value: (gauges: NonNullable<Real['gauges']>) => number | undefined) =>
    gauge(
      registry,
      name,
      help,
      real.map(({ labels, gauges }) => [labels, gauges && value(gauges)]),
    );
  gauge(
    registry,
    'mgpu_gpu_info',
    'A GPU that the machine uses',
    real.map(({ labels, name, mode, driver = '' }) => [{ ...labels, name, mode, driver }, 1]),
  );
  gauge(
    registry,
    'mgpu_gpu_out_of_service',
    'Whether nothing is started on the GPU because of a fault',
    real.map(({ labels, outOfService }) => [labels, outOfService ? 1 : 0]),
  );
  each('mgpu_gpu_utilization_ratio', 'Share of the last moments in which the GPU computed', (gauges) =>
    gauges.utilizationPercent === undefined ? undefined : gauges.utilizationPercent / 100,
  );
  each('mgpu_gpu_memory_used_bytes', 'Memory of the GPU in use', (gauges) => bytesOf(gauges.memoryUsedMiB));
  each('mgpu_gpu_memory_total_bytes', 'Memory of the GPU', (gauges) => bytesOf(gauges.memoryTotalMiB));
  each('mgpu_gpu_temperature_celsius', 'Temperature of the GPU', ({ temperatureC }) => temperatureC);
  each('mgpu_gpu_power_watts', 'Power that the GPU draws', ({ powerW }) => powerW);
  each('mgpu_gpu_power_limit_watts', 'Power that the GPU may draw', ({ powerLimitW }) => powerLimitW);
  each('mgpu_gpu_ecc_uncorrected_errors', 'Uncorrected memory errors since the driver was loaded', (gauges) => {
    return gauges.eccUncorrected;
  });
  gauge(
    registry,
    'mgpu_gpu_slowdown',
    'Whether the clocks of the GPU are slowed down for this reason',
    real.flatMap(({ labels, gauges }) =>
      (['hardware', 'heat', 'power'] as const).map((reason): Sample => {
        return [{ ...labels, reason }, gauges?.slowdowns && (gauges.slowdowns.includes(reason) ? 1 : 0)];
      }),
    ),
  );
}

const labelsOf = ({ index, uuid = '' }: MachineGpu) => ({ gpu: String(index), uuid });
const bytesOf = (mebibytes: number | undefined) => (mebibytes === undefined ? undefined : mebibytes * mebibyte);

function instanceMetrics(
  registry: Registry,
  { instances }: MachineStatus,
  measures: readonly InstanceMeasures[],
): void {
  const all = instances.map((status) => ({
    status,
    labels: { id: status.id, kind: status.kind, gpu: status.gpu === undefined ? '' : String(status.gpu) },
    measured: measures.find(({ id }) => id === status.id),
  }));
  const each = (value: (one: (typeof all)[number]) => number | undefined) =>
    all.map((one): Sample => [one.labels, value(one)]);
  gauge(
    registry,
    'mgpu_instance_state',
    'Whether the instance is in this state',
    all.flatMap(({ status, labels }) =>
      states.map((state): Sample => [{ ...labels, state }, status.state === state ? 1 : 0]),
    ),
  );
  gauge(
    registry,
    'mgpu_instance_ready',
    'Whether the instance runs and is ready',
    each(({ status: { state, health } }) => (state === 'running' && health === 'ready' ? 1 : 0)),
  );
  counter(
    registry,
    'mgpu_instance_restarts_total',
    'Restarts after failures, since somebody asked for the instance',
    each(({ status }) => status.attempt),
  );
  gauge(
    registry,
    'mgpu_instance_uptime_seconds',
    'How long the present run of the instance has lasted',
    each(({ status: { startedAt } }) => (startedAt === undefined ? undefined : secondsSince(startedAt))),
  );
  gauge(
    registry,
    'mgpu_instance_memory_bytes',
    'Resident memory of the processes of the instance',
    each(({ measured }) => measured?.memoryBytes),
  );
  counter(
    registry,
    'mgpu_instance_log_bytes_total',
    'Bytes that the instance has printed',
    each(({ measured }) => measured?.logBytes),
  );
  gauge(
    registry,
    'mgpu_instance_jobs',
    'Jobs that the instance has in hand',
    each(({ status: { work } }) => work?.length ?? 0),
  );
}

function workMetrics(registry: Registry, measures: readonly InstanceMeasures[]): void {
  const attempts = measures.flatMap(({ id, work }) =>
    (work?.attempts ?? []).map((each) => ({ ...each, labels: { type: each.type, engine: each.engine, worker: id } })),
  );
  const kinds = Map.groupBy(attempts, ({ labels }) => JSON.stringify(labels));
  counter(
    registry,
    'mgpu_job_attempts_total',
    'Attempts at jobs that ended, since the worker was started',
    [...kinds.values()].flatMap((ofKind) =>
      outcomes.map((outcome): Sample => {
        const { labels = {} } = ofKind[0] ?? {};
        return [{ ...labels, outcome }, ofKind.find((each) => each.outcome === outcome)?.count ?? 0];
      }),
    ),
  );
  histogram(
    registry,
    'mgpu_job_duration_seconds',
    'How long attempts at jobs took, from being taken to the last artifact stored',
    attempts.map(({ labels, outcome, ...rest }) => ({ labels: { ...labels, outcome }, ...rest })),
  );
  const idle = measures.flatMap(({ id, work }) =>
    (work?.idle ?? []).map((each) => ({ ...each, labels: { engine: each.engine, worker: id } })),
  );
  counter(
    registry,
    'mgpu_gpu_idle_between_jobs_seconds_total',
    'Time in which an engine had nothing to do though its next job had been submitted',
    idle.map(({ labels, seconds }) => [labels, seconds]),
  );
  counter(
    registry,
    'mgpu_gpu_idle_between_jobs_total',
    'Pauses of an engine between a job and one that had been submitted by then',
    idle.map(({ labels, count }) => [labels, count]),
  );
}

interface DurationTotals {
  readonly labels: Labels;
  readonly count: number;
  readonly seconds: number;
  readonly withinBounds: readonly number[];
}

/** A histogram that somebody else has counted; the library has only such that it counts itself, but prints any. */
function histogram(registry: Registry, name: string, help: string, totals: readonly DurationTotals[]): void {
  if (totals.length === 0) return;
  const values = totals.flatMap(({ labels, count, seconds, withinBounds }) => {
    const line = (suffix: string, value: number, more: Labels = {}) => {
      return { metricName: `${name}_${suffix}`, labels: { ...more, ...labels }, value };
    };
    return [
      ...durationBounds.map((bound, index) => line('bucket', withinBounds[index] ?? 0, { le: String(bound) })),
      line('bucket', count, { le: '+Inf' }),
      line('sum', seconds),
      line('count', count),
    ];
  });
  const metric = { name, help, type: 'histogram', get: async () => ({ name, help, type: 'histogram', values }) };
  registry.registerMetric(metric as unknown as Histogram);
}
