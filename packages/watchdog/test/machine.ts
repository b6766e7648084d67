import { join } from 'node:path';
import {
  BaseService,
  type Clock,
  composeConfigSchema,
  defineService,
  type Gpu,
  gpuSelectionSchema,
  httpProbe,
  type InstanceStatus,
  layoutOf,
  loggerTo,
  mockGpus,
  type Observation,
  Orchestrator,
  type Probes,
  ProcessService,
  type ProcessSpec,
  type Run,
  type ServiceContext,
  type Supervision,
  systemClock,
} from '@mgpu/core';
import { record, temporaryFolder } from '@mgpu/core/testing';
import { onTestFinished } from 'vitest';
import { z } from 'zod';
import { type Incident, readIncidents, watchdog } from '../src/index.ts';

const schema = z.strictObject({ enabled: z.boolean().default(true), gpus: gpuSelectionSchema });

const fixture = (name: string, ...args: readonly string[]) => ({
  file: process.execPath,
  args: [join(import.meta.dirname, 'fixtures', name), ...args],
  graceMs: 200,
});

interface EngineOptions {
  readonly command?: (socket: string) => ProcessSpec;
  /** What it does to free memory; default: nothing can be freed. */
  readonly relieve?: () => boolean;
}

/** A program that answers HTTP on a socket of its own. */
class Engine extends ProcessService<EngineOptions> {
  get #socket(): string {
    return join(this.context.layout.instance(this.id), 'engine.sock');
  }

  override async relieve(): Promise<boolean> {
    return this.config.relieve?.() ?? false;
  }

  protected override command(): ProcessSpec {
    return this.config.command?.(this.#socket) ?? fixture('serves.mjs', this.#socket);
  }

  protected override probes(): Probes {
    const probe = httpProbe(new URL('http://engine/'), { socketPath: this.#socket });
    const liveness = { probe, intervalMs: 50, timeoutMs: 200, failures: 3 };
    return { startup: { probe, deadlineMs: 2_000_000, intervalMs: 10 }, liveness };
  }
}

/** Tells of the engines of its GPU what the test lays into its mouth. */
class Feeder extends BaseService<{
  readonly said: (id: string) => readonly Observation[];
  readonly end: () => Promise<void>;
}> {
  override observations(): readonly Observation[] {
    return this.status.state === 'running' ? this.config.said(this.id) : [];
  }

  protected override async onStart(run: Run): Promise<void> {
    run.defer(() => this.config.end());
  }
}

export interface BenchOptions {
  readonly engine?: EngineOptions;
  readonly supervision?: Supervision;
  /** Of the watchdog. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly gpus?: readonly Gpu[];
  readonly root?: string;
  readonly clock?: Clock;
  /** By id of the engine; what its feeder says of it, or of another. */
  readonly said?: Map<string, Omit<Observation, 'instance'> & { readonly instance?: string }>;
  /** Folder of programs that stand before those of this machine. */
  readonly programs?: string;
  /** What a feeder does to end its work. Default: it has none. */
  readonly feederEnds?: () => Promise<void>;
}

const quick = { baseMs: 10, capMs: 50 };

/** A machine with an engine and a feeder on each GPU under the eyes of a watchdog whose times are short. */
export async function bench({
  engine = {},
  supervision = {},
  config = {},
  gpus = mockGpus(1),
  root,
  clock = systemClock,
  said = new Map(),
  programs,
  feederEnds = async () => {},
}: BenchOptions = {}) {
  const folder = root ?? temporaryFolder().path;
  const engines = defineService({
    api: 1,
    kind: 'engine',
    summary: 'an engine',
    scope: 'gpu',
    phase: 'engines',
    critical: false,
    schema,
    supervision: { backoff: quick, ...supervision },
    create: (_, context: ServiceContext) => new Engine(engine, context),
  });
  const feeders = defineService({
    api: 1,
    kind: 'feeder',
    summary: 'a feeder',
    scope: 'gpu',
    phase: 'feeders',
    critical: false,
    schema,
    create: (_, context: ServiceContext) => {
      const instance = context.id.replace('feeder', 'engine');
      return new Feeder({ said: () => [{ work: [], instance, ...said.get(instance) }], end: feederEnds }, context);
    },
  });
  const definitions = [watchdog, engines, feeders];
  const services = {
    watchdog: {
      sweepMs: 50,
      disk: { warnGiB: 0, cleanGiB: 0, stopGiB: 0, resumeGiB: 0 },
      ...config,
      gpu: { kernelLog: 'off', ...(config.gpu as object) },
    },
  };
  const lines: string[] = [];
  const layout = layoutOf(folder);
  const orchestrator = new Orchestrator({
    definitions,
    gpus,
    clock,
    layout,
    config: composeConfigSchema(definitions).parse({ services }),
    machineId: 'bench',
    env: { PATH: [...(programs === undefined ? [] : [programs]), process.env.PATH].join(':') },
    log: loggerTo((level, message) => void lines.push(`${level} ${message}`)),
  });
  const statuses = record<InstanceStatus>(orchestrator, 'instance');
  onTestFinished(async () => {
    await orchestrator.stop({ force: true }).catch(() => {}); // what the test provoked
    statuses[Symbol.dispose]();
  });
  const statusOf = (id: string) => {
    const found = orchestrator.status().find((each) => each.id === id);
    if (!found) throw new Error(`there is no ${id}`);
    return found;
  };
  await orchestrator.start();
  return {
    orchestrator,
    layout,
    lines,
    said,
    statusOf,
    /** What it was like when that was so: now, or as soon as it is. */
    until: (id: string, matches: (status: InstanceStatus) => boolean) => {
      const now = statusOf(id);
      if (matches(now)) return Promise.resolve(now);
      const before = new Set(statuses.events);
      return statuses.until((each) => !before.has(each) && each.id === id && matches(each));
    },
    pidOf: (id: string) => statusOf(id).pid ?? 0,
    incidents: (subject: string): Promise<readonly Incident[]> =>
      readIncidents(layout.state, (each) => each.subject === subject),
  };
}

/** Time runs faster: waits of minutes become those of a test. */
export const hurriedClock = (factor: number): Clock => ({
  now: () => systemClock.now(),
  elapsed: () => systemClock.elapsed() * factor,
  sleep: (ms, options) => systemClock.sleep(ms / factor, options),
});

export const isReady = ({ state, health }: InstanceStatus) => state === 'running' && health === 'ready';
export { fixture };
