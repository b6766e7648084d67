import { randomUUID } from 'node:crypto';
import { type Clock, systemClock } from '../clock.ts';
import type { MachineConfig } from '../config/machine-config.ts';
import type { AnyServiceDefinition } from '../definition/define-service.ts';
import { Emitter } from '../emitter.ts';
import {
  BootFailedError,
  ServiceKindUnknownError,
  StartAbortedError,
  StopIncompleteError,
} from '../errors/core-errors.ts';
import { type MgpuError, reportError } from '../errors/mgpu-error.ts';
import type { Layout } from '../files/layout.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { type Logger, silentLogger } from '../logs/logger.ts';
import type { MachineView } from '../service/context.ts';
import type { StartOptions, StopOptions } from '../service/types.ts';
import { bootMachine } from './boot.ts';
import { type BootPhase, type BootReport, BootTrace } from './boot-trace.ts';
import { reverse, walk } from './graph.ts';
import { createInstances, type Instance } from './instances.ts';
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
  /** An instance's state, health or plan changed. */
  instance: InstanceStatus;
  /** The boot ended, whichever way. */
  boot: BootReport;
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
  readonly #instances: ReadonlyMap<string, Instance>;
  readonly #supervised: ReadonlyMap<string, Supervised>;
  readonly #events: Emitter<MachineEvents>;
  #trace: BootTrace;
  #boot: { readonly cancel: AbortController; readonly done: Promise<BootReport> } | undefined;
  #hasBooted = false;
  #stopping: Promise<void> | undefined;

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
    this.#instances = instances;
    this.#supervised = new Map(
      [...instances.values()].map((instance) => [
        instance.id,
        new Supervised(instance, {
          clock,
          log,
          restartPolicy,
          onChange: (status) => this.#events.emit('instance', status),
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
    if (this.#boot && !this.#boot.cancel.signal.aborted) return this.#boot.done;
    const cancel = new AbortController();
    const boot = { cancel, done: this.#start(cancel, signal, this.#boot?.done) };
    this.#boot = boot;
    const over = () => {
      if (this.#boot === boot) this.#boot = undefined;
    };
    boot.done.then(over, over);
    return boot.done;
  }

  /** Ends everything in reverse order. Idempotent; cancels a boot under way. `force` hurries a stop under way. */
  stop(options: StopOptions = {}): Promise<void> {
    this.#boot?.cancel.abort(new StartAbortedError({ instance: 'machine' }));
    for (const each of this.#supervised.values()) each.want('down');
    if (options.force)
      for (const { service } of this.#instances.values()) void service.stop({ force: true }).catch(() => {}); // reported by the stop below
    this.#stopping ??= this.#stopAll(options).finally(() => {
      this.#stopping = undefined;
    });
    return this.#stopping;
  }

  /** Starts whatever is not running, dependencies first. Resolves when everything was tried; what failed says so in its status. */
  async startMissing(): Promise<void> {
    await walk(this.#plan.graph, async (id) => {
      await this.startInstance(id).catch((error: unknown) => this.#log.warn(`${id} could not be started`, { error }));
    });
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

  async #start(
    cancel: AbortController,
    signal: AbortSignal | undefined,
    former: Promise<unknown> | undefined,
  ): Promise<BootReport> {
    await former?.catch(() => {}); // told to whoever asked for that boot
    await this.#stopping?.catch(() => {}); // likewise
    if (cancel.signal.aborted) throw new StartAbortedError({ instance: 'machine' });
    if (this.#hasBooted) this.#trace = this.#newTrace();
    this.#hasBooted = true;
    for (const each of this.#supervised.values()) each.want('up');
    const { layout, env, config } = this.#options;
    const failures = await bootMachine({
      plan: this.#plan,
      supervised: this.#supervised,
      trace: this.#trace,
      settings: config.services,
      cancel: (reason) => cancel.abort(reason),
      install: {
        layout,
        env,
        log: this.#log,
        clock: this.#clock,
        machine: this.view,
        signal: signal ? AbortSignal.any([cancel.signal, signal]) : cancel.signal,
      },
    });
    await this.#stopping?.catch(() => {}); // whoever asked for it hears of it
    const isCancelled = failures.length === 0 && (cancel.signal.aborted || signal?.aborted === true);
    if (failures.length > 0 || signal?.aborted) {
      // What cannot be stopped is in the log and in the statuses; the boot's own failure is what the caller has to hear.
      await this.stop().catch((error: unknown) => this.#log.error('not everything was stopped', { error }));
    }
    const report = this.#trace.report();
    this.#events.emit('boot', report);
    if (isCancelled) throw new StartAbortedError({ instance: 'machine' });
    const [first] = failures;
    if (!first) return report;
    // One cause is enough: the rest was cancelled because of it.
    throw new BootFailedError(
      { failed: failures.map(({ node }) => node), first: reportError(first.error).message },
      { cause: first.error },
    );
  }

  #want(id: string): Supervised {
    const supervised = this.#find(id);
    if (this.#stopping) throw new StartAbortedError({ instance: id });
    supervised.want('up');
    return supervised;
  }

  #find(id: string): Supervised {
    const found = this.#supervised.get(id);
    if (!found) throw new ServiceKindUnknownError({ kind: id, known: [...this.#supervised.keys()] });
    return found;
  }

  async #stopAll(options: StopOptions): Promise<void> {
    const problems: unknown[] = [];
    await walk(reverse(this.#plan.graph), async (id) => {
      await this.#instances
        .get(id)
        ?.service.stop(options)
        .catch((error: unknown) => problems.push(error));
    });
    if (problems.length === 0) return;
    const texts = problems.map((each) => reportError(each).message);
    throw new StopIncompleteError({ instance: 'machine', problems: texts }, { cause: new AggregateError(problems) });
  }
}
