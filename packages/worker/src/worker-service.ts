import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  bootId,
  type ConnectorBinding,
  gpuIndex,
  type Observation,
  type Probes,
  ProcessService,
  type ProcessSpec,
  type Run,
  type WorkTotals,
  writeFileAtomically,
} from '@mgpu/core';
import { RedisMissingError } from './errors.ts';
import { type HostSettings, toConnectorSettings } from './settings.ts';
import { removeStatus, statusFile, type WorkerStatus } from './status-file.ts';
import { aliveProbe, enginesAway, readyProbe, startedProbe } from './status-probe.ts';
import { version } from './version.ts';
import type { WorkerConfig } from './worker-config.ts';

const startDeadlineMs = 60_000;
/** How long a start waits for an engine that is being started, too; after that the worker is up and says it is not ready. */
const patienceMs = 45_000;
/** A worker notices a ready engine within this. */
const noticeMs = 3_000;
const maxBeatAgeMs = 15_000;
const closeMs = 5_000;

// From source, as in the tests, the built program is run.
const hostFile = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../dist/host.js' : './host.js', import.meta.url),
);

/**
 * The worker process of one GPU. Up when the process runs, whether or not Redis and the engines are there; its health
 * says what is missing. Stopping it lets running jobs end for `drainMs`.
 */
export class WorkerService extends ProcessService<WorkerConfig> {
  #run: Run | undefined;
  /** What the process of the present run said last. */
  #said: WorkerStatus | undefined;

  /** What the process says about itself. */
  get statusFile(): string {
    return statusFile(this.context.layout.run, this.id);
  }

  get #settingsFile(): string {
    return join(this.context.layout.run, `${this.id}.settings.json`);
  }

  /** What it knows of its engines; nothing while it gives no sign of life. */
  override observations(): readonly Observation[] {
    const said = this.#said;
    if (!said || this.context.clock.now() - said.beat > maxBeatAgeMs) return [];
    return said.engines.map(({ engine, fault }) => ({
      instance: engine,
      work: said.jobs
        .filter((job) => job.engine === engine)
        .map(({ id: job, since, progressAt, progress }) => {
          return { job, since, progressAt, ...(progress === undefined ? {} : { progress }) };
        }),
      ...(fault === undefined ? {} : { fault }),
    }));
  }

  /** Of the present process. */
  override workTotals(): WorkTotals | undefined {
    return this.#said?.totals;
  }

  protected override async onPrepare(run: Run): Promise<void> {
    this.#run = run;
    run.defer(() => {
      this.#run = undefined;
      this.#said = undefined;
    });
    run.defer(() => rm(this.#settingsFile, { force: true }));
    run.defer(() => removeStatus(this.statusFile));
    // One that was adopted goes on writing it.
    if (!run.isAdopted) await removeStatus(this.statusFile);
    await writeFileAtomically(this.#settingsFile, this.#settings());
  }

  protected override command(): ProcessSpec {
    return {
      file: process.execPath,
      args: [hostFile, this.#settingsFile],
      // Another version of the host is another program, wherever it is installed.
      inputs: `${version}\n${this.#settings()}`,
      env: { NODE_COMPILE_CACHE: this.context.env.NODE_COMPILE_CACHE ?? join(this.context.layout.state, 'node-cache') },
      graceMs: this.config.drainMs + closeMs,
    };
  }

  protected override probes(): Probes {
    const { clock } = this.context;
    const listen = (status: WorkerStatus) => {
      this.#said = status;
      // The others are fed all the same.
      const away = enginesAway(status);
      this.#run?.setHealth(away === undefined ? 'ready' : 'degraded', away);
    };
    return {
      startup: {
        probe: startedProbe(this.statusFile, (engine) => this.#isComing(engine)),
        deadlineMs: startDeadlineMs,
        intervalMs: 50,
      },
      readiness: { probe: readyProbe(this.statusFile, listen), intervalMs: 1_000, failures: 1 },
      liveness: { probe: aliveProbe(this.statusFile, clock, maxBeatAgeMs), intervalMs: 5_000, failures: 2 },
    };
  }

  /** Whether an engine is being started, or was a moment ago. */
  #isComing(engine: string): boolean {
    const { clock, machine } = this.context;
    const status = machine.instances().find(({ id }) => id === engine);
    const ageOf = ({ since }: { since: string }) => clock.now() - Date.parse(since);
    if (status === undefined || ageOf(this.status) > patienceMs) return false;
    const ageMs = ageOf(status);
    return status.state === 'starting' || (status.state === 'running' && ageMs < noticeMs);
  }

  #settings(): string {
    const { config, context, id } = this;
    const { concurrency, attempts, retryDelayMs, drainMs, lockMs, keepJobs, prefix } = config;
    const redis = context.machine.endpoints({ kind: 'redis' })[0];
    if (!redis) throw new RedisMissingError({ instance: id });
    const settings: HostSettings = {
      v: 1,
      worker: id,
      // Boot and host name tell a machine from its clone, and containers of one host: what others hold is not ours to take.
      owner: `${this.#machineName()}@${hostname()}-${bootId()?.slice(0, 8) ?? 'unknown'}/${id}`,
      machine: this.#machineName(),
      redis: redis.url.href,
      prefix,
      connectors: this.#bindings().map(toConnectorSettings),
      artifactsDir: context.layout.artifacts,
      statusFile: this.statusFile,
      concurrency,
      attempts,
      retryDelayMs,
      drainMs,
      lockMs,
      keepJobs,
    };
    return `${JSON.stringify(settings)}\n`;
  }

  /** The engines of this GPU that are to be fed. */
  #bindings(): ConnectorBinding[] {
    const { config, context, id } = this;
    const there = context.machine.connectors(gpuIndex(context.gpu) ?? 0);
    const { connectors: wanted } = config;
    if (wanted === 'all') return [...there];
    const kinds = there.map(({ kind }) => kind);
    const missing = wanted.filter((kind) => !kinds.includes(kind));
    if (missing.length > 0)
      context.log.warn(
        `${id} is to feed ${missing.join(', ')}, but the engines of its GPU are ${kinds.join(', ') || 'none'}`,
      );
    return there.filter(({ kind }) => wanted.includes(kind));
  }

  /** Unique among all that share a Redis: a worker takes over the jobs of its namesake. */
  #machineName(): string {
    const { machine, layout } = this.context;
    if (machine.machineId !== 'standalone') return machine.machineId;
    return `${hostname()}-${createHash('sha256').update(layout.root).digest('hex').slice(0, 8)}`;
  }
}
