import { randomUUID } from 'node:crypto';
import { type Clock, systemClock } from '../clock.ts';
import type { MachineConfig } from '../config/machine-config.ts';
import type { AnyServiceDefinition } from '../definition/define-service.ts';
import { Emitter } from '../emitter.ts';
import { BootFailedError, InstanceUnknownError, StartAbortedError } from '../errors/core-errors.ts';
import { type MgpuError, reportError } from '../errors/mgpu-error.ts';
import type { Layout } from '../files/layout.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { type Logger, silentLogger } from '../logs/logger.ts';
import type { MachineView } from '../service/context.ts';
import type { StartOptions, StopOptions } from '../service/types.ts';
import { type BootFailure, bootMachine } from './boot.ts';
import { type BootPhase, type BootReport, BootTrace } from './boot-trace.ts';
import { createInstances } from './instances.ts';
import { MachineStop } from './machine-stop.ts';
import { type MachinePlan, planMachine } from './plan.ts';
import { neverRestart, type RestartPolicy } from './restart-policy.ts';
import { type InstanceStatus, Supervised } from './supervised.ts';

export interface OrchestratorOptions {
  readonly definitions: readonly AnyServiceDefinition[];
  readonly config: MachineConfig;
  readonly gpus: readonly Gpu[];
  /** What had been wrong with finding them: told when one that the configuration names is not there. */
  readonly gpuProblem?: MgpuError | undefined;
  readonly layout: Layout;
  readonly machineId: string;
  /** UUID of this daemon's life; default: a new one. */
  readonly daemonRun?: string;
  /** Environment that processes inherit. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log?: Logger;
  readonly clock?: Clock;
  /** Default: nothing is restarted. */
  readonly restartPolicy?: RestartPolicy;
  /** Whether processes outlive this one. Default true. */
  readonly survive?: boolean;
  /** Continues a boot that began before the orchestrator could exist. */
  readonly trace?: BootTrace;
}

export interface MachineEvents {
  /** A phase began or ended. */
  phase: BootPhase;
  /** An instance's state, health, or what is wanted of it changed. */
  instance: InstanceStatus;
  /** A boot ended, whichever way: of everything, or of what was missing. */
  boot: BootReport;
}

interface BootUnderWay {
  readonly scope: 'everything' | 'missing';
  readonly cancel: AbortController;
  readonly done: Promise<BootReport>;
}

/**
 * Starts and stops all instances of a machine in the order of their dependencies, everything independent at the same
 * time. It adds what a single service does not know: what is desired, waiting, attempts, and the restart policy's word.
 */
export class Orchestrator implements AsyncDisposable {
  readonly daemonRun: string;
  readonly view: MachineView;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #options: OrchestratorOptions;
  readonly #plan: MachinePlan;
  readonly #supervised: ReadonlyMap<string, Supervised>;
  readonly #events: Emitter<MachineEvents>;
  #trace: BootTrace;
  #hasBooted = false;
  /** In the order of their coming; each waits for the one before. */
  readonly #boots = new Set<BootUnderWay>();
  #stopping: MachineStop | undefined;

  /** Plans and constructs; starts nothing. Throws what `planMachine` throws. */
  constructor(options: OrchestratorOptions) {
    const { log = silentLogger, clock = systemClock, restartPolicy = neverRestart } = options;
    this.#options = options;
    this.#log = log;
    this.#clock = clock;
    this.daemonRun = options.daemonRun ?? randomUUID();
    this.#events = new Emitter((event, error) => log.error(`a listener of the machine's ${event} failed`, { error }));
    this.#trace = options.trace ?? this.#newTrace();
    this.#plan = planMachine(options.definitions, options.config, { gpus: options.gpus, problem: options.gpuProblem });
    const { view, instances } = createInstances(this.#plan, { ...options, log, clock, statuses: () => this.status() });
    this.view = view;
    this.#supervised = new Map(
      [...instances.values()].map((instance) => [
        instance.id,
        new Supervised(instance, {
          clock,
          log,
          restartPolicy,
          onChange: (status) => this.#onChange(status),
        }),
      ]),
    );
  }

  on<K extends keyof MachineEvents>(event: K, listener: (payload: MachineEvents[K]) => unknown): () => void {
    return this.#events.on(event, listener);
  }

  status(): readonly InstanceStatus[] {
    return [...(this.#supervised?.values() ?? [])].map((each) => each.status);
  }

  get boot(): BootReport {
    return this.#trace.report();
  }

  /**
   * Boots: installs and starts everything. Resolves with the report when everything was tried; rejects with
   * `CORE_BOOT_FAILED` when a critical part failed and with `CORE_START_ABORTED` when it was cancelled, everything
   * started so far being stopped by then. Callers at the same time share one boot.
   */
  start({ signal }: StartOptions = {}): Promise<BootReport> {
    return this.#boot('everything', signal);
  }

  /**
   * Installs and starts whatever neither runs nor has completed, after a boot under way. What fails is no reason to stop
   * the rest, it says so in its status. Resolves with the report of this boot, or of the last one when nothing was
   * missing; rejects with what the boot under way fails with, or with `CORE_START_ABORTED` when a stop cancels it or is
   * under way.
   */
  startMissing(): Promise<BootReport> {
    return this.#boot('missing');
  }

  /** Ends everything in reverse order. Idempotent; cancels boots under way. `force` hurries a stop under way. */
  stop(options: StopOptions = {}): Promise<void> {
    for (const { cancel } of this.#boots) cancel.abort(new StartAbortedError({ instance: 'machine' }));
    return this.#stopAll(options);
  }

  async startInstance(id: string, options: StartOptions = {}): Promise<void> {
    const supervised = this.#want(id);
    await supervised.start(options);
  }

  async stopInstance(id: string, options: StopOptions = {}): Promise<void> {
    const supervised = this.#find(id);
    supervised.want('down');
    await supervised.instance.service.stop(options);
  }

  async restart(id: string, options: StopOptions = {}): Promise<void> {
    await this.#want(id).restart(options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #newTrace(): BootTrace {
    const onPhase = (phase: BootPhase) => this.#events.emit('phase', phase);
    return new BootTrace({ daemonRun: this.daemonRun, clock: this.#clock, onPhase });
  }

  #boot(scope: BootUnderWay['scope'], signal?: AbortSignal): Promise<BootReport> {
    const former = [...this.#boots].at(-1);
    if (former?.scope === scope && !former.cancel.signal.aborted) return former.done;
    const cancel = new AbortController();
    const isWhole = scope === 'everything';
    const done = isWhole ? this.#start(cancel, signal, former?.done) : this.#startMissing(cancel, former?.done);
    const boot = { scope, cancel, done };
    this.#boots.add(boot);
    const over = () => void this.#boots.delete(boot);
    done.then(over, over);
    return done;
  }

  async #start(cancel: AbortController, signal?: AbortSignal, former?: Promise<unknown>): Promise<BootReport> {
    await former?.catch(() => {}); // told to whoever asked for that boot
    await this.#stopping?.done.catch(() => {}); // likewise
    const abort = () => cancel.abort(new StartAbortedError({ instance: 'machine' }));
    if (signal?.aborted) abort();
    cancel.signal.throwIfAborted();
    signal?.addEventListener('abort', abort, { once: true });
    const trace = this.#beginTrace();
    const failures = await this.#bootPlan(this.#plan, { trace, cancel, isFailureFatal: true });
    signal?.removeEventListener('abort', abort);
    await this.#stopping?.done.catch(() => {}); // whoever asked for it hears of it
    if (failures.length > 0 || signal?.aborted) {
      // What cannot be stopped is in the log and in the statuses; the boot's own failure is what the caller has to hear.
      await this.#stopAll({}).catch((error: unknown) => this.#log.error('not everything was stopped', { error }));
    }
    const report = trace.report();
    this.#events.emit('boot', report);
    const [first] = failures;
    if (!first) {
      cancel.signal.throwIfAborted();
      return report;
    }
    // One cause is enough: the rest was cancelled because of it.
    throw new BootFailedError(
      { failed: failures.map(({ node }) => node), first: reportError(first.error).message },
      { cause: first.error },
    );
  }

  async #startMissing(cancel: AbortController, former?: Promise<unknown>): Promise<BootReport> {
    await former;
    cancel.signal.throwIfAborted();
    if (this.#stopping) throw new StartAbortedError({ instance: 'machine' });
    const instances = this.#plan.instances.filter(({ id }) => !this.#isThere(id));
    if (instances.length === 0) return this.#trace.report();
    const definitions = this.#plan.definitions.filter((each) =>
      instances.some(({ definition }) => definition === each),
    );
    const trace = this.#beginTrace();
    await this.#bootPlan({ ...this.#plan, instances, definitions }, { trace, cancel, isFailureFatal: false });
    const report = trace.report();
    this.#events.emit('boot', report);
    cancel.signal.throwIfAborted();
    return report;
  }

  #bootPlan(
    plan: MachinePlan,
    { trace, cancel, isFailureFatal }: { trace: BootTrace; cancel: AbortController; isFailureFatal: boolean },
  ): Promise<readonly BootFailure[]> {
    for (const { id } of plan.instances) this.#find(id).want('up');
    const { layout, env, config } = this.#options;
    return bootMachine({
      plan,
      supervised: this.#supervised,
      trace,
      settings: config.services,
      ...(isFailureFatal ? { cancel: (reason: MgpuError) => cancel.abort(reason) } : {}),
      install: { layout, env, log: this.#log, clock: this.#clock, machine: this.view, signal: cancel.signal },
    });
  }

  /** The first boot goes on with the trace that was there before it. */
  #beginTrace(): BootTrace {
    if (this.#hasBooted) this.#trace = this.#newTrace();
    this.#hasBooted = true;
    return this.#trace;
  }

  /** Whatever a failed dependency held back follows it once that has recovered. */
  #onChange(status: InstanceStatus): void {
    this.#events.emit('instance', status);
    if (status.state !== 'running' && status.state !== 'completed') return;
    for (const { id, dependsOn } of this.#plan.instances) {
      if (!dependsOn.some((each) => each.id === status.id) || !this.#find(id).isHeldBack) continue;
      if (!dependsOn.every((each) => this.#isThere(each.id, each.when))) continue;
      this.#find(id)
        .start()
        .catch((error: unknown) => this.#log.warn(`${id} could not be started`, { instance: id, error }));
    }
  }

  #isThere(id: string, when: 'started' | 'ready' | 'completed' = 'ready'): boolean {
    const { state } = this.#find(id).status;
    return state === 'completed' || (state === 'running' && when !== 'completed');
  }

  #want(id: string): Supervised {
    const supervised = this.#find(id);
    if (this.#stopping) throw new StartAbortedError({ instance: id });
    supervised.want('up');
    return supervised;
  }

  #find(id: string): Supervised {
    const found = this.#supervised.get(id);
    if (!found) throw new InstanceUnknownError({ instance: id, known: [...this.#supervised.keys()] });
    return found;
  }

  #stopAll(options: StopOptions): Promise<void> {
    for (const each of this.#supervised.values()) each.want('down');
    if (this.#stopping) {
      if (options.force) this.#stopping.hurry();
      return this.#stopping.done;
    }
    const services = new Map([...this.#supervised].map(([id, { instance }]) => [id, instance.service]));
    const stopping = new MachineStop(services, this.#plan.graph, options);
    this.#stopping = stopping;
    const over = () => {
      this.#stopping = undefined;
    };
    stopping.done.then(over, over);
    return stopping.done;
  }
}
