import { randomUUID } from 'node:crypto';
import { mkdir, stat } from 'node:fs/promises';
import {
  type ConfigReport,
  ControlApi,
  ControlService,
  HeldError,
  http,
  type IncidentReport,
  JobsUnavailableError,
  type MachineControl,
  type MachineEvent,
  type MachineLogs,
  type MachineStatus,
  metricsText,
  type Operation,
} from '@mgpu/control';
import {
  abortable,
  type BootReport,
  BootTrace,
  Emitter,
  type ErrorReport,
  findGpus,
  type Gpu,
  type InstanceOutcome,
  type InstanceVerb,
  ignore,
  type JobQueue,
  keepBoot,
  type Logger,
  machineIdOf,
  Orchestrator,
  type QueueDepth,
  removeDrafts,
  reportError,
  StartAbortedError,
  settleRoot,
  silentLogger,
  standaloneContext,
  systemClock,
} from '@mgpu/core';
import { readIncidents } from '@mgpu/watchdog';
import { JobClient } from '@mgpu/worker';
import { bootPauses } from './boot-pauses.ts';
import { configReport } from './config-report.ts';
import { environmentOfOthers } from './environment-of-others.ts';
import { RootUnusableError, RootVanishedError, StoppingError } from './errors.ts';
import { instanceLogs } from './instance-logs.ts';
import { withGauges } from './machine-gpus.ts';
import { measureInstances } from './measures.ts';
import { withNodeSite } from './node-site.ts';
import { ollamaVariables } from './ollama-variables.ts';
import { operationsOf } from './operations/operations.ts';
import { Overview } from './overview.ts';
import type { Settings } from './settings.ts';
import { makeSharedDirectories } from './shared-directories.ts';
import { version } from './version.ts';

/** Milliseconds between two looks at whether the root is still there. */
const rootCheckMs = 5_000;
/** Milliseconds between two looks at real GPUs while nobody asks how they are, and for which a look is good enough. */
const gpuLookMs = 10_000;
const gpuFreshMs = 2_000;

export interface MachineOptions {
  readonly log?: Logger;
  /** Whether instances outlive this process. Default true. */
  readonly survive?: boolean;
}

/** One daemon: the root's lock, the control socket, the orchestrator and the queue, wired together. */
export class Machine implements MachineControl, AsyncDisposable {
  readonly #settings: Settings;
  readonly #log: Logger;
  readonly #survive: boolean;
  readonly #events: Emitter<{ event: MachineEvent }>;
  readonly #daemonRun = randomUUID();
  readonly #startedAt = new Date().toISOString();
  readonly #trace: BootTrace;
  readonly operations: readonly Operation[];
  readonly #api: ControlApi;
  readonly #control: ControlService;
  readonly #booted = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  readonly #halt = new AbortController();
  readonly #left = new AbortController();
  readonly #force = new AbortController();
  readonly #overview: Overview;
  #state: MachineStatus['state'] = 'booting';
  #hasRoot = false;
  #isOver = false;
  #machineId = '';
  #gpus: readonly Gpu[] = [];
  #problems: ErrorReport[] = [];
  #orchestrator: Orchestrator | undefined;
  #jobs: JobClient | undefined;
  #down: Promise<void> | undefined;

  constructor(settings: Settings, { log = silentLogger, survive = true }: MachineOptions = {}) {
    this.#settings = settings;
    this.#log = log;
    this.#survive = survive;
    this.#events = new Emitter((_, error) => log.error('a listener of the machine failed', { error }));
    this.#trace = new BootTrace({
      daemonRun: this.#daemonRun,
      clock: systemClock,
      onPhase: (data) => this.#publish({ event: 'phase', data }),
    });
    this.#overview = new Overview({
      clock: systemClock,
      stateDir: settings.layout.state,
      depths: () => this.#depths(),
    });
    this.operations = operationsOf(() => {
      if (this.#down) throw new StoppingError({ root: settings.layout.root });
      return { settings, log, force: this.#force.signal };
    });
    const context = standaloneContext({ kind: 'control', root: settings.layout.root, log });
    this.#api = new ControlApi(this, { log, auditDir: settings.layout.logs });
    this.#control = new ControlService({ socketPath: settings.socketPath }, this.#api, context);
    this.#booted.promise.catch(() => {}); // boot() itself rejects
    this.#ended.promise.catch(() => {}); // told to whoever waits for it
  }

  /** Resolves when `down` has stopped everything, or `leave` let go of it. Rejects with `MACHINE_ROOT_VANISHED`. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  status(): MachineStatus {
    return {
      machineId: this.#machineId,
      root: this.#settings.layout.root,
      state: this.#state,
      daemon: { pid: process.pid, run: this.#daemonRun, version, startedAt: this.#startedAt },
      gpus: withGauges(this.#gpus, this.#orchestrator?.view.gpuMonitor.latest, systemClock),
      boot: this.#orchestrator?.boot ?? this.#trace.report(),
      instances: this.#orchestrator?.status() ?? [],
      problems: this.#problems,
    };
  }

  overview(): Promise<MachineStatus> {
    this.#lookAtGpus(gpuFreshMs);
    return this.#overview.complete(this.status());
  }

  async metrics(): Promise<string> {
    const status = await this.overview();
    const instances = measureInstances(this.#orchestrator?.view.supervisor.instances() ?? []);
    return await metricsText({ status, instances });
  }

  subscribe(listener: (event: MachineEvent) => void): () => void {
    return this.#events.on('event', listener);
  }

  /** Takes the root, then boots. When it rejects, everything is stopped again and the root is free. */
  async boot(): Promise<BootReport> {
    try {
      await this.#trace.step('control', 'control:start', () => this.#takeRoot());
      const report = await this.#bootInstances();
      if (!this.#down) this.#state = 'running';
      this.#publish({ event: 'boot', data: { report } });
      // Those that follow are the orchestrator's alone.
      this.#orchestrator?.on('boot', (later) => this.#publish({ event: 'boot', data: { report: later } }));
      this.#booted.resolve();
      return report;
    } catch (error) {
      this.#log.error('the boot failed', { error });
      this.#publish({ event: 'boot', data: { report: this.#trace.report(), error: reportError(error) } });
      const note = (problem: unknown) => this.#log.error('not everything was stopped', { error: problem });
      // What a daemon before us left is not ours to end because we cannot go on with it.
      this.#down ??= this.#stopAll(false, { isAskedFor: false });
      await this.#down.catch(note);
      // Before the socket closes: it still answers whoever waits for this boot.
      this.#booted.reject(error);
      await this.#control.stop().catch(note);
      await this.#api[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Waits for the boot, then starts what is missing. Throws what the boot threw, and `MACHINE_STOPPING`. */
  async up(): Promise<BootReport> {
    await this.#booted.promise;
    return this.#running().startMissing();
  }

  down({ force }: { force: boolean }): Promise<void> {
    if (force) {
      this.#force.abort();
      void this.#orchestrator?.stop({ force }).catch(() => {}); // the stop below reports it
    }
    this.#down ??= this.#stopAll(force);
    return this.#down;
  }

  /** Lets go of the root and stops nothing: the next daemon goes on with everything. */
  leave(): Promise<void> {
    this.#down ??= this.#leave();
    return this.#down;
  }

  async startInstance(id: string): Promise<void> {
    await this.#running().startInstance(id);
  }

  async stopInstance(id: string, options: { force: boolean }): Promise<void> {
    await this.#running().stopInstance(id, options);
  }

  async restartInstance(id: string, options: { force: boolean }): Promise<void> {
    await this.#movable().restart(id, options);
  }

  operate(
    verb: InstanceVerb,
    ids: readonly string[],
    options: { force: boolean },
  ): Promise<readonly InstanceOutcome[]> {
    return this.#running().operate(verb, ids, options);
  }

  async holdInstance(id: string, { why, signal }: { why: string; signal: AbortSignal }): Promise<void> {
    await this.#movable().hold(id, { reason: reportError(new HeldError({ instance: id, why })), signal });
  }

  #running(): Orchestrator {
    if (this.#down) throw new StoppingError({ root: this.#settings.layout.root });
    return this.#movable();
  }

  /** Longer than it is running: a task that is called off moves back the instances that it has moved. */
  #movable(): Orchestrator {
    if (this.#isOver || !this.#orchestrator) throw new StoppingError({ root: this.#settings.layout.root });
    return this.#orchestrator;
  }

  /** Whatever a task holds is free again, and none moves instances while all of them are stopped or left. */
  async #endTasks(): Promise<void> {
    await this.#api.tasks.end();
    this.#isOver = true;
  }

  jobs(): JobQueue {
    return this.#queue();
  }

  jobTypes(): readonly string[] {
    const { connectors = () => [], gpus = [] } = this.#orchestrator?.view ?? {};
    const types = gpus.flatMap(({ index }) => connectors(index).flatMap((each) => each.types));
    return [...new Set(types)].toSorted();
  }

  get artifactsDir(): string {
    return this.#settings.layout.artifacts;
  }

  incidents(): Promise<readonly IncidentReport[]> {
    return readIncidents(this.#settings.layout.state);
  }

  config(): ConfigReport {
    return configReport(this.#settings);
  }

  logs(): MachineLogs {
    const { layout } = this.#settings;
    return { instances: instanceLogs(layout), daemon: layout.logs };
  }

  #queue(): JobClient {
    const { redis: queue, worker } = this.#settings.config.services;
    // Nobody would ever take a job: the queue is ours alone.
    if (queue?.url === undefined && !worker?.enabled)
      throw new JobsUnavailableError({ reason: 'no worker is enabled, and its queue is shared with no other machine' });
    const [redis] = this.#orchestrator?.view.endpoints({ kind: 'redis' }) ?? [];
    if (!redis)
      throw new JobsUnavailableError({
        reason: this.#state === 'booting' ? 'it is still booting' : 'there is no Redis',
      });
    const prefix = worker?.prefix;
    this.#jobs ??= new JobClient({ redis: redis.url.href, ...(typeof prefix === 'string' ? { prefix } : {}) });
    return this.#jobs;
  }

  async #depths(): Promise<readonly QueueDepth[]> {
    return await this.#queue().depths(this.jobTypes());
  }

  /** Asks real GPUs how they are, for whoever looks next: none who looks waits for nvidia-smi. */
  #lookAtGpus(maxAgeMs: number): void {
    if (!this.#gpus.some(({ mode }) => mode === 'nvidia')) return;
    const { signal } = this.#halt;
    this.#orchestrator?.view.gpuMonitor.sample({ maxAgeMs, signal }).catch(() => {}); // the machine ends
  }

  async #keepLookingAtGpus(): Promise<void> {
    for (;;) {
      this.#lookAtGpus(gpuLookMs / 2);
      await systemClock.sleep(gpuLookMs, { signal: this.#halt.signal });
    }
  }

  /** Stops everything and lets go of the root. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.down({ force: false });
    } finally {
      await this.#control.stop();
      await this.#api[Symbol.asyncDispose]();
    }
  }

  /** Without its root nothing can be kept, found or stopped by anybody else: better no machine than one out of reach. */
  async #watchRoot(): Promise<void> {
    const { root, run } = this.#settings.layout;
    const { ino } = await stat(run);
    for (;;) {
      await systemClock.sleep(rootCheckMs, { signal: this.#halt.signal });
      const now = await stat(run).catch(ignore('ENOENT'));
      if (now?.ino === ino) continue;
      const error = new RootVanishedError({ root });
      this.#log.error(error.message, { error });
      this.#ended.reject(error);
      await this.down({ force: false });
      return;
    }
  }

  async #takeRoot(): Promise<void> {
    const { layout } = this.#settings;
    try {
      await mkdir(layout.run, { recursive: true, mode: 0o700 });
      await mkdir(layout.state, { recursive: true });
    } catch (cause) {
      throw new RootUnusableError({ root: layout.root, problem: reportError(cause).message }, { cause });
    }
    await this.#control.start();
    this.#hasRoot = true;
    this.#watchRoot().catch((error: unknown) => {
      if (!this.#halt.signal.aborted) this.#log.warn('the root is not watched any more', { error });
    });
  }

  async #bootInstances(): Promise<BootReport> {
    const { layout } = this.#settings;
    const keep = () =>
      keepBoot(layout.state, this.#trace.report()).catch((error: unknown) => {
        this.#log.warn('the boot trace could not be kept', { error });
      });
    // One that is killed in its boot is to be seen as well.
    const begun = keep();
    try {
      [this.#orchestrator] = await Promise.all([
        this.#trace.step('environment', 'environment', () => this.#plan()),
        this.#trace.step('shared directories', 'shared-directories', () => makeSharedDirectories(layout)),
      ]);
      // Somebody may have lost interest while there was nothing to stop yet.
      if (this.#down) throw new StartAbortedError({ instance: 'machine' });
      void this.#keepLookingAtGpus().catch(() => {}); // the machine ends
      // Whoever leaves everything as it is does not wait for the rest of the boot.
      return await abortable(this.#orchestrator.start(), this.#left.signal);
    } finally {
      await begun;
      await keep();
    }
  }

  async #plan(): Promise<Orchestrator> {
    const { config, definitions, layout } = this.#settings;
    const { pauseBefore } = config.machine;
    const env = { ...environmentOfOthers(this.#settings), ...ollamaVariables(config, this.#settings.env) };
    const log = this.#log;
    this.#machineId = config.machine.id === 'auto' ? await machineIdOf(layout.state) : config.machine.id;
    const { gpus, problem } = await findGpus(config.machine.gpu, { log, signal: this.#halt.signal });
    this.#gpus = gpus;
    if (problem) {
      this.#problems = [...this.#problems, reportError(problem)];
      log.warn('not all GPUs could be asked; the machine goes on with those that answered', { error: problem });
    }
    const orchestrator = new Orchestrator({
      definitions: withNodeSite(definitions, config, this.#settings.env).map((each) =>
        each.kind === 'http' ? http({ api: () => this.#api }) : each,
      ),
      config,
      gpus,
      gpuProblem: problem,
      layout,
      env,
      log,
      machineId: this.#machineId,
      daemonRun: this.#daemonRun,
      survive: this.#survive,
      trace: this.#trace,
      ...(pauseBefore ? { beforePhase: bootPauses(pauseBefore, { definitions, layout, log }) } : {}),
    });
    // Of the boots that follow the first, whose trace is ours.
    orchestrator.on('phase', (data) => this.#publish({ event: 'phase', data }));
    orchestrator.on('instance', (data) => {
      // That its turn has not come is no news.
      const level = data.state === 'blocked' && data.reason === undefined ? 'debug' : 'info';
      log[level](`${data.id} is ${data.state}`, {
        instance: data.id,
        state: data.state,
        health: data.health,
        reason: data.reason,
      });
      this.#publish({ event: 'instance', data });
    });
    return orchestrator;
  }

  async #leave(): Promise<void> {
    this.#state = 'stopping';
    const reason = new StartAbortedError({ instance: 'machine' });
    this.#left.abort(reason);
    this.#halt.abort(reason);
    try {
      await this.#endTasks();
      this.#orchestrator?.leave();
    } finally {
      await this.#jobs?.close();
      this.#ended.resolve();
    }
  }

  async #stopAll(force: boolean, { isAskedFor }: { isAskedFor: boolean } = { isAskedFor: true }): Promise<void> {
    this.#state = 'stopping';
    this.#halt.abort(new StartAbortedError({ instance: 'machine' }));
    const { layout } = this.#settings;
    try {
      await this.#endTasks();
      if (this.#orchestrator) await this.#orchestrator.stop({ force });
      else if (isAskedFor && this.#hasRoot && this.#survive) {
        // Before anything is planned there is nobody else to end what a daemon before us left.
        const signal = force ? AbortSignal.abort() : new AbortController().signal;
        await settleRoot({ layout, clock: systemClock, log: this.#log, signal, graceful: true });
      }
      await removeDrafts(layout.run);
    } finally {
      await this.#jobs?.close();
      this.#ended.resolve();
    }
  }

  #publish(event: MachineEvent): void {
    this.#events.emit('event', event);
  }
}
