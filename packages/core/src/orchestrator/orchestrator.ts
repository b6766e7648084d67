import { randomUUID } from 'node:crypto';
import { type Clock, systemClock } from '../clock.ts';
import type { MachineConfig } from '../config/machine-config.ts';
import type { AnyServiceDefinition, DependencyState } from '../definition/define-service.ts';
import { Emitter } from '../emitter.ts';
import { BootFailedError, InstanceUnknownError, StartAbortedError } from '../errors/core-errors.ts';
import { type ErrorReport, type MgpuError, reportError } from '../errors/mgpu-error.ts';
import type { Layout } from '../files/layout.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { type Logger, silentLogger } from '../logs/logger.ts';
import { processRecordFile } from '../process/process-record.ts';
import { sweepLeftover } from '../process/sweep-leftover.ts';
import type { MachineView } from '../service/context.ts';
import type { InstanceStatus, StartOptions, StopOptions } from '../service/types.ts';
import type { RestartPolicy } from '../supervision/restart-policy.ts';
import type { Supervisor, SupervisorEvents } from '../supervision/supervisor.ts';
import { type BootFailure, bootMachine } from './boot.ts';
import { type BootPhase, type BootReport, BootTrace } from './boot-trace.ts';
import { createInstances } from './instances.ts';
import { MachineStop } from './machine-stop.ts';
import { type InstanceOutcome, type InstanceVerb, operate } from './operate.ts';
import { type MachinePlan, planMachine } from './plan.ts';
import { settleRoot } from './settle-root.ts';
import { Supervised } from './supervised.ts';
import { workByInstance } from './work-by-instance.ts';

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
  /** Decides until a watchdog is appointed. Default: failures wait for one. */
  readonly restartPolicy?: RestartPolicy;
  /** Whether processes outlive this one. Default true. */
  readonly survive?: boolean;
  /** Awaited before the first step of each phase of a boot begins. */
  readonly beforePhase?: (phase: string, signal: AbortSignal) => Promise<void>;
  /** Continues a boot that began before the orchestrator could exist. */
  readonly trace?: BootTrace;
}

export interface MachineEvents extends SupervisorEvents {
  /** A phase began or ended. */
  phase: BootPhase;
  /** A boot ended, whichever way: of everything, or of what was missing. */
  boot: BootReport;
}

/** What a daemon that was killed left to this one, by instance. */
interface Inheritance {
  /** Whose state it had kept. */
  readonly restored: ReadonlySet<string>;
  /** Whose process lives. */
  readonly orphans: ReadonlySet<string>;
}

const nothing: Inheritance = { restored: new Set(), orphans: new Set() };

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
  #policy: RestartPolicy | undefined;
  #hasLeft = false;
  #trace: BootTrace;
  #hasBooted = false;
  /** In the order of their coming; each waits for the one before. */
  readonly #boots = new Set<BootUnderWay>();
  #stopping: { readonly done: Promise<void>; hurry(): void } | undefined;

  /** Plans and constructs; starts nothing. Throws what `planMachine` throws. */
  constructor(options: OrchestratorOptions) {
    const { log = silentLogger, clock = systemClock } = options;
    this.#policy = options.restartPolicy;
    this.#options = options;
    this.#log = log;
    this.#clock = clock;
    this.daemonRun = options.daemonRun ?? randomUUID();
    this.#events = new Emitter((event, error) => log.error(`a listener of the machine's ${event} failed`, { error }));
    this.#trace = options.trace ?? this.#newTrace();
    this.#plan = planMachine(options.definitions, options.config, { gpus: options.gpus, problem: options.gpuProblem });
    const { view, instances } = createInstances(this.#plan, {
      ...options,
      log,
      clock,
      statuses: () => this.status(),
      supervisor: this.#supervisor(),
    });
    this.view = view;
    this.#supervised = new Map(
      [...instances.values()].map((instance) => [
        instance.id,
        new Supervised(instance, {
          clock,
          log,
          runDir: options.layout.run,
          dir: options.layout.instance(instance.id),
          policy: () => this.#policy,
          onChange: (status) => this.#onChange(status),
          onFailure: (failure, decision) => this.#events.emit('failure', { failure, decision }),
        }),
      ]),
    );
  }

  on<K extends keyof MachineEvents>(event: K, listener: (payload: MachineEvents[K]) => unknown): () => void {
    return this.#events.on(event, listener);
  }

  status(): readonly InstanceStatus[] {
    const all = [...(this.#supervised?.values() ?? [])];
    const work = workByInstance(all);
    return all.map(({ id, status }) => ({ ...status, ...(work.has(id) ? { work: work.get(id) ?? [] } : {}) }));
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

  /** Stops nothing: everything is left to the next daemon, which goes on with it. This one is of no use any more. */
  leave(): void {
    this.#policy = undefined;
    this.#hasLeft = true;
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

  /**
   * The same for several: independent ones at the same time, whoever uses another of them before it on the way down and after it
   * on the way up. What runs or has completed is not started. Resolves with what came of each; throws `CORE_SERVICE_UNKNOWN`
   * before anything is done.
   */
  async operate(
    verb: InstanceVerb,
    ids: readonly string[],
    options: StopOptions = {},
  ): Promise<readonly InstanceOutcome[]> {
    for (const id of ids) this.#find(id);
    const asked = new Set(ids.filter((id) => verb !== 'start' || !this.#isThere(id)));
    if (verb === 'restart') for (const id of asked) this.#want(id);
    const errors = await operate(verb, asked, this.#plan.graph, {
      start: (id) => (verb === 'restart' ? this.#find(id).start() : this.startInstance(id)),
      // One that is restarted stays wanted: whatever becomes of us, it comes back.
      stop: (id) =>
        verb === 'restart' ? this.#find(id).instance.service.stop(options) : this.stopInstance(id, options),
    });
    return ids.map((id) => {
      const error = errors.get(id);
      return { instance: this.#find(id).status, ...(error ? { error } : {}) };
    });
  }

  /**
   * Stops it, letting work in hand end, and keeps it from starting until the signal fires; then it starts again if it is
   * wanted. Resolves when it is gone.
   */
  async hold(id: string, { reason, signal }: { reason: ErrorReport; signal: AbortSignal }): Promise<void> {
    const supervised = this.#find(id);
    const name = randomUUID();
    const release = () => {
      if (!this.#hasLeft) supervised.release(name);
    };
    signal.addEventListener('abort', release, { once: true });
    if (!signal.aborted) await supervised.hold(name, reason);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #supervisor(): Supervisor {
    return {
      instances: () => [...this.#supervised.values()],
      on: (event, listener) => this.#events.on(event, listener as (payload: MachineEvents[typeof event]) => unknown),
      appoint: (policy) => {
        this.#policy = policy;
        for (const each of this.#supervised.values()) each.decide();
        return () => {
          if (this.#policy === policy) this.#policy = undefined;
        };
      },
    };
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
    if (former) await former.catch(() => {}); // told to whoever asked for that boot
    if (this.#stopping) await this.#stopping.done.catch(() => {}); // likewise
    const abort = () => cancel.abort(new StartAbortedError({ instance: 'machine' }));
    if (signal?.aborted) abort();
    cancel.signal.throwIfAborted();
    signal?.addEventListener('abort', abort, { once: true });
    const inheritance = await this.#takeOver(cancel.signal);
    const { restored, orphans } = inheritance;
    const trace = this.#beginTrace();
    const instances = this.#plan.instances.filter(({ id }) => !restored.has(id) || this.#find(id).isWanted);
    // What goes on from before must not fall with one that fails.
    const isFailureFatal = restored.size === 0 && orphans.size === 0;
    const failures = await this.#bootPlan({ ...this.#plan, instances }, { trace, cancel, isFailureFatal, inheritance });
    await this.#endOrphans(orphans, cancel.signal);
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
      this.#renewOutdated();
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
    {
      trace,
      cancel,
      isFailureFatal,
      inheritance: { restored, orphans } = nothing,
    }: { trace: BootTrace; cancel: AbortController; isFailureFatal: boolean; inheritance?: Inheritance },
  ): Promise<readonly BootFailure[]> {
    // A stop while the root was settled has the last word.
    const isCancelled = cancel.signal.aborted;
    for (const { id } of plan.instances) if (!isCancelled && !restored.has(id)) this.#find(id).want('up');
    const { layout, env, config } = this.#options;
    return bootMachine({
      plan,
      supervised: this.#supervised,
      trace,
      settings: config.services,
      orphans,
      beforePhase: this.#options.beforePhase,
      ...(isFailureFatal ? { cancel: (reason: MgpuError) => cancel.abort(reason) } : {}),
      install: { layout, env, log: this.#log, clock: this.#clock, machine: this.view, signal: cancel.signal },
    });
  }

  /** Goes on from where a daemon before us was killed. */
  async #takeOver(signal: AbortSignal): Promise<Inheritance> {
    if (this.#hasBooted) return nothing;
    const { layout } = this.#options;
    const planned = new Set(this.#supervised.keys());
    const all = [...this.#supervised.values()];
    for (const each of all) each.restore();
    await settleRoot({ layout, planned, clock: this.#clock, log: this.#log, signal });
    const those = (is: (each: Supervised) => boolean) => new Set(all.filter(is).map(({ id }) => id));
    return { restored: those((each) => each.resume()), orphans: those((each) => each.hasOrphan()) };
  }

  /** What nobody went on with, because it is on hold or not wanted, must not live on out of everybody's sight. */
  async #endOrphans(orphans: ReadonlySet<string>, hurry: AbortSignal): Promise<void> {
    const left = [...orphans].filter((id) => {
      const { state, pid } = this.#find(id).status;
      return pid === undefined && (state === 'stopped' || state === 'blocked');
    });
    const { layout } = this.#options;
    await Promise.all(
      left.map(async (instance) => {
        const file = processRecordFile(layout.run, instance);
        const options = { instance, clock: this.#clock, log: this.#log, hurry, graceful: true };
        await sweepLeftover(file, options).catch((error: unknown) => {
          this.#log.error(`${instance}: what a former daemon left could not be ended`, { instance, error });
        });
      }),
    );
  }

  /** Those that can be replaced without loss run by the settings in force as soon as their work in hand has ended. */
  #renewOutdated(): void {
    for (const each of this.#supervised.values()) {
      if (!each.status.outdated || each.supervision.whenOutdated !== 'restart') continue;
      each.restart().catch((error: unknown) => this.#log.warn(`${each.id} could not be renewed`, { error }));
    }
  }

  /** The first boot goes on with the trace that was there before it. */
  #beginTrace(): BootTrace {
    if (this.#hasBooted) this.#trace = this.#newTrace();
    this.#hasBooted = true;
    return this.#trace;
  }

  /** Whatever a failed dependency held back follows it once that has recovered, even if it recovered just before. */
  #onChange(status: InstanceStatus): void {
    this.#events.emit('instance', status);
    const { id: changed, state } = status;
    const isThere = state === 'running' || state === 'completed';
    for (const { id, dependsOn } of this.#plan.instances) {
      if (id !== changed && !(isThere && dependsOn.some((each) => each.id === changed))) continue;
      if (!this.#find(id).isHeldBack || !dependsOn.every((each) => this.#isThere(each.id, each.when))) continue;
      this.#find(id)
        .start()
        .catch((error: unknown) => this.#log.warn(`${id} could not be started`, { instance: id, error }));
    }
  }

  #isThere(id: string, when: DependencyState = 'ready'): boolean {
    if (when === 'installed') return true; // that was before the first of them started
    const { state } = this.#find(id).status;
    if (when === 'settled') return state === 'completed' || state === 'failed';
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
    for (const each of this.#supervised.values()) each.letGo();
    if (this.#stopping) {
      if (options.force) this.#stopping.hurry();
      return this.#stopping.done;
    }
    const services = new Map([...this.#supervised].map(([id, { instance }]) => [id, instance.service]));
    const stop = new MachineStop(services, this.#plan.graph, options);
    const stopping = { done: stop.done.finally(() => this.#endRest(options)), hurry: () => stop.hurry() };
    this.#stopping = stopping;
    const over = () => {
      this.#stopping = undefined;
    };
    stopping.done.then(over, over);
    return stopping.done;
  }

  /** What no service of ours has in hand: a daemon before us left it, and this one was stopped before it took it over. */
  async #endRest({ force = false }: StopOptions): Promise<void> {
    const { layout, survive = true } = this.#options;
    if (!survive) return;
    const signal = force ? AbortSignal.abort() : new AbortController().signal;
    const options = { layout, clock: this.#clock, log: this.#log, signal };
    await settleRoot({ ...options, graceful: true }).catch((error: unknown) => {
      this.#log.error('what a former daemon left could not be ended', { error });
    });
  }
}
