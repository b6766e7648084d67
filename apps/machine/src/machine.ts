import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  ControlService,
  JobsUnavailableError,
  type MachineControl,
  type MachineEvent,
  type MachineStatus,
} from '@mgpu/control';
import {
  type BootReport,
  BootTrace,
  Emitter,
  type ErrorReport,
  environmentBindings,
  type Gpu,
  GpuMonitor,
  type JobQueue,
  type Logger,
  Orchestrator,
  reportError,
  type ServiceContext,
  StartAbortedError,
  silentLogger,
  standaloneContext,
  systemClock,
  versionedFile,
} from '@mgpu/core';
import { JobClient } from '@mgpu/worker';
import { z } from 'zod';
import { RootUnusableError } from './errors.ts';
import type { Settings } from './settings.ts';
import { version } from './version.ts';

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
  readonly #control: ControlService;
  readonly #ended = Promise.withResolvers<void>();
  #state: MachineStatus['state'] = 'booting';
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
    const context: ServiceContext = { ...standaloneContext({ kind: 'control', root: settings.layout.root, log }) };
    this.#control = new ControlService({ socketPath: settings.socketPath }, this, context);
  }

  /** Resolves when `down` has stopped everything. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  status(): MachineStatus {
    return {
      machineId: this.#machineId,
      root: this.#settings.layout.root,
      state: this.#state,
      daemon: { pid: process.pid, run: this.#daemonRun, version, startedAt: this.#startedAt },
      gpus: this.#gpus,
      boot: this.#trace.report(),
      instances: this.#orchestrator?.status() ?? [],
      problems: this.#problems,
    };
  }

  subscribe(listener: (event: MachineEvent) => void): () => void {
    return this.#events.on('event', listener);
  }

  /** Takes the root, then boots. Whatever fails, everything is stopped again when it rejects. */
  async boot(): Promise<BootReport> {
    try {
      await this.#trace.step('control', 'control:start', () => this.#takeRoot());
      this.#orchestrator = await this.#trace.step('environment', 'environment', () => this.#plan());
      // Somebody may have lost interest while there was nothing to stop yet.
      if (this.#down) throw new StartAbortedError({ instance: 'machine' });
      const report = await this.#orchestrator.start();
      this.#state = 'running';
      this.#publish({ event: 'boot', data: { report } });
      return report;
    } catch (error) {
      this.#publish({ event: 'boot', data: { report: this.#trace.report(), error: reportError(error) } });
      this.#log.error('the boot failed', { error });
      await this.down({ force: false });
      throw error;
    } finally {
      await this.#trace.save(this.#settings.layout.state).catch((error: unknown) => {
        this.#log.warn('the boot trace could not be kept', { error });
      });
    }
  }

  async up(): Promise<BootReport> {
    await this.#orchestrator?.startMissing();
    return this.#trace.report();
  }

  down({ force }: { force: boolean }): Promise<void> {
    if (force) void this.#orchestrator?.stop({ force }).catch(() => {}); // the stop below reports it
    this.#down ??= this.#stopAll(force);
    return this.#down;
  }

  jobs(): JobQueue {
    const [redis] = this.#orchestrator?.view.endpoints({ kind: 'redis' }) ?? [];
    if (!redis)
      throw new JobsUnavailableError({
        reason: this.#state === 'booting' ? 'it is still booting' : 'there is no Redis',
      });
    const prefix = this.#settings.config.services.worker?.prefix;
    this.#jobs ??= new JobClient({ redis: redis.url.href, ...(typeof prefix === 'string' ? { prefix } : {}) });
    return this.#jobs;
  }

  /** Stops everything and lets go of the root. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.down({ force: false });
    await this.#control.stop();
  }

  async #takeRoot(): Promise<void> {
    const { layout } = this.#settings;
    try {
      await mkdir(layout.run, { recursive: true, mode: 0o700 });
      await mkdir(join(layout.state, 'boots'), { recursive: true });
    } catch (cause) {
      throw new RootUnusableError(
        { root: layout.root, problem: cause instanceof Error ? cause.message : String(cause) },
        { cause },
      );
    }
    await this.#control.start();
  }

  async #plan(): Promise<Orchestrator> {
    const { config, definitions, layout } = this.#settings;
    // What became configuration, passwords among it, is no business of engines and their custom nodes.
    const consumed = new Set(environmentBindings(definitions).map(({ name }) => name));
    const env = Object.fromEntries(Object.entries(this.#settings.env).filter(([name]) => !consumed.has(name)));
    const log = this.#log;
    this.#machineId = config.machine.id === 'auto' ? await persistedMachineId(layout.state) : config.machine.id;
    const { gpus, problem } = await new GpuMonitor({ log }).inventory(config.machine.gpu);
    this.#gpus = gpus;
    if (problem) {
      this.#problems = [...this.#problems, reportError(problem)];
      log.warn('the GPUs could not be asked; the machine goes on without them', { error: problem });
    }
    const orchestrator = new Orchestrator({
      definitions,
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
    });
    orchestrator.on('instance', (data) => {
      log.info(`${data.id} is ${data.state}`, {
        instance: data.id,
        state: data.state,
        health: data.health,
        reason: data.reason,
      });
      this.#publish({ event: 'instance', data });
    });
    return orchestrator;
  }

  async #stopAll(force: boolean): Promise<void> {
    this.#state = 'stopping';
    try {
      await this.#orchestrator?.stop({ force });
    } finally {
      await this.#jobs?.close();
      this.#ended.resolve();
    }
  }

  #publish(event: MachineEvent): void {
    this.#events.emit('event', event);
  }
}

const machineFileSchema = z.object({ id: z.string().min(1) });

/** The name this machine made up for itself at its first boot. */
async function persistedMachineId(stateDir: string): Promise<string> {
  const file = versionedFile(join(stateDir, 'machine.json'), 1, machineFileSchema);
  const known = await file.read();
  if (known) return known.id;
  const id = `mgpu-${randomBytes(4).toString('hex')}`;
  await file.write({ id });
  return id;
}
