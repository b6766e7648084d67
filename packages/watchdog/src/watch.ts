import {
  type Failure,
  type InstanceStatus,
  type RestartDecision,
  reportError,
  type ServiceContext,
  type SupervisedInstance,
  type Supervisor,
} from '@mgpu/core';
import type { WatchdogConfig } from './config.ts';
import { EngineFaults } from './engine-faults.ts';
import { RestartDisabledError, StartDeadlineError } from './errors.ts';
import { evidenceOf } from './evidence.ts';
import { exitMeaning } from './exit-meaning.ts';
import { FaultLadder } from './fault-ladder.ts';
import { Feeders } from './feeders.ts';
import { GpuFaults } from './gpu-faults.ts';
import { cleanUp, HostGuards } from './host-guards.ts';
import { IncidentBook } from './incidents.ts';
import { Intake } from './intake.ts';
import { ProcessGuards } from './process-guards.ts';
import { Quarantine } from './quarantine.ts';
import { type RecoveryPolicy, recoveryPolicy } from './recovery-policy.ts';
import { RestartFiles } from './restart-files.ts';
import { restartPolicy, wasStable } from './restart-policy.ts';
import { lineageOf } from './sources/process-trees.ts';
import { VramGuard } from './vram-guard.ts';
import { watchLiveness } from './watch-liveness.ts';
import { progressIn, WorkWatch } from './watch-work.ts';

/** Milliseconds between two looks at what workers say. */
const observeMs = 1_000;
/** Milliseconds before a watch over something is begun again that failed. */
const againMs = 10_000;

/** One run of an instance, as far as it is watched. */
interface WatchedRun {
  readonly id: string;
  readonly over: AbortController;
  readonly started: AbortController;
  isAsked: boolean;
}

/** A watch over the machine, from the start of the service to its end. */
export class Watch {
  readonly #context: ServiceContext;
  readonly #config: WatchdogConfig;
  readonly #signal: AbortSignal;
  readonly #supervisor: Supervisor;
  readonly #incidents: IncidentBook;
  readonly #files: RestartFiles;
  readonly #feeders: Feeders;
  readonly #quarantine: Quarantine;
  readonly #intake: Intake;
  readonly #ladder: FaultLadder;
  readonly #engineFaults: EngineFaults;
  readonly #processes: ProcessGuards;
  readonly #host: HostGuards;
  readonly #gpus: GpuFaults;
  readonly #vram: VramGuard;
  readonly #work: WorkWatch;
  readonly #runs = new Map<string, WatchedRun>();
  readonly #pids = new Map<string, number>();
  /** Restarts since somebody asked for it, as last seen. */
  readonly #attempts = new Map<string, number>();
  /** The last failure of an instance that has not recovered yet. */
  readonly #failures = new Map<string, Failure>();
  /** What was decided about the last failure. */
  readonly #decisions = new Map<string, RestartDecision>();
  /** Found stopped against the wish at the last sweep. */
  #lost: ReadonlySet<string> = new Set();
  #loops: readonly Promise<void>[] = [];
  #leave: readonly (() => void)[] = [];

  constructor(config: WatchdogConfig, context: ServiceContext, signal: AbortSignal) {
    this.#context = context;
    this.#config = config;
    this.#signal = signal;
    const { clock, log, layout, env, machine } = context;
    const { supervisor, gpuMonitor: monitor } = machine;
    this.#supervisor = supervisor;
    const stateDir = layout.state;
    const incidents = new IncidentBook({ stateDir, clock, log });
    const feeders = new Feeders(supervisor);
    this.#incidents = incidents;
    this.#feeders = feeders;
    this.#files = new RestartFiles({ layout, log, onChange: (id, isAllowed) => this.#onPermission(id, isAllowed) });
    const isWell = async (gpu: string) => {
      // Of one that did not answer at the boot there is no instance: that does not make it well.
      if (this.#instances.some((each) => each.gpu?.uuid === gpu && each.gpu.mode !== 'nvidia')) return true;
      const sample = await monitor.sample({ signal });
      return sample?.gpus.some(({ uuid }) => uuid === gpu) === true;
    };
    const now = () => new Date(clock.now()).toISOString();
    this.#quarantine = new Quarantine({ stateDir, log, supervisor, feeders, incidents, now, isWell });
    this.#intake = new Intake(feeders, log);
    this.#ladder = new FaultLadder({
      supervisor,
      feeders,
      incidents,
      quarantine: this.#quarantine,
      intake: this.#intake,
      clock,
      log,
      signal,
      cleanUp: () => cleanUp(config.cleanUp, { root: layout.root, now: clock.now(), signal }),
    });
    const ladder = this.#ladder;
    this.#engineFaults = new EngineFaults(clock, ladder);
    const policyOf = (instance: SupervisedInstance) => this.#policyOf(instance);
    this.#processes = new ProcessGuards({ clock, ladder, policyOf, logMiBPerMinute: config.logMiBPerMinute });
    this.#host = new HostGuards({ config, root: layout.root, clock, log, ladder, intake: this.#intake });
    const { kernelLog, queryMs, toleratedMiB } = config.gpu;
    const ownerOf = (pid: number) => this.#ownerOf(pid);
    this.#gpus = new GpuFaults({
      supervisor,
      feeders,
      ladder,
      monitor,
      clock,
      log,
      env,
      signal,
      kernelLog,
      queryMs,
      ownerOf,
    });
    const memoryOf = (gpu: string) => this.#gpus.memoryOf(gpu);
    this.#vram = new VramGuard({ feeders, ladder, clock, log, signal, toleratedMiB, memoryOf });
    this.#work = new WorkWatch(clock);
  }

  /** Takes office at once: what has failed already is decided about now. */
  begin(): void {
    const { coolOffMs, restartsPerMinute, sweepMs } = this.#config;
    this.#leave = [
      this.#supervisor.on('instance', (status) => this.#onInstance(status)),
      this.#supervisor.on('failure', ({ failure, decision }) => this.#onFailure(failure, decision)),
    ];
    for (const { status } of this.#instances) this.#onInstance(status);
    this.#quarantine.begin();
    const policy = restartPolicy({
      policyOf: (instance) => recoveryPolicy(this.#config, instance),
      mayRestart: (instance) => this.#files.allows(instance),
      coolOffMs,
      restartsPerMinute,
    });
    this.#leave = [...this.#leave, this.#supervisor.appoint(policy)];
    this.#loops = [
      this.#incidents.load(),
      this.#repeat(sweepMs, () => this.#sweep()),
      this.#repeat(observeMs, () => this.#observe()),
      this.#untilItEnds("the reading of the kernel's log", () => this.#gpus.readKernelLog()),
      this.#untilItEnds('the look at the GPUs', () => this.#gpus.watchHealth()),
    ];
  }

  /** Lets go of everything; its signal has fired. What it holds for a while starts again. */
  async end(): Promise<void> {
    for (const leave of this.#leave) leave();
    for (const { over } of this.#runs.values()) over.abort();
    this.#files[Symbol.dispose]();
    this.#quarantine[Symbol.dispose]();
    await Promise.all(this.#loops);
    this.#intake.end();
    await this.#incidents.settled();
  }

  get #instances(): readonly SupervisedInstance[] {
    return this.#supervisor.instances().filter(({ id }) => id !== this.#context.id);
  }

  #find(id: string): SupervisedInstance | undefined {
    return this.#instances.find((each) => each.id === id);
  }

  #policyOf(instance: SupervisedInstance): RecoveryPolicy {
    return recoveryPolicy(this.#config, instance);
  }

  #ownerOf(pid: number): string | undefined {
    const leaders = new Map([...this.#pids].map(([id, each]) => [each, id]));
    // Not yet seen by the sweep, or seen and without its parents by now.
    const leader = lineageOf(pid).find((each) => leaders.has(each));
    return leader === undefined ? this.#processes.ownerOf(pid) : leaders.get(leader);
  }

  #onInstance(status: InstanceStatus): void {
    const { id, state, desired, reason, pid } = status;
    const instance = this.#find(id);
    if (!instance) return;
    if (pid !== undefined) this.#pids.set(id, pid);
    if (desired === 'down') {
      this.#files.letGo(id);
      this.#vram.letGo(id);
    } else if (state === 'blocked' && reason === undefined) this.#onWish(id);
    else this.#files.take(id);
    this.#countRestart(status);
    if (state === 'stopping' || state === 'cleaning') this.#gpus.ending(instance);
    this.#judgeEnd(status);
    this.#follow(instance, status);
    if (state === 'running' && status.health === 'ready') this.#onReady(id);
  }

  /** Whoever restarted it: the policy, somebody's wish, or a sweep. */
  #countRestart({ id, attempt }: InstanceStatus): void {
    if (attempt > (this.#attempts.get(id) ?? attempt)) this.#files.count(id);
    this.#attempts.set(id, attempt);
  }

  /** What survives SIGKILL is told: nothing is started over it. */
  #judgeEnd({ id, state, reason }: InstanceStatus): void {
    const group = `end of ${id}`;
    if (state !== 'unkillable') {
      this.#ladder.forget(group);
      return;
    }
    const message = reason?.message ?? `${id} cannot be ended`;
    const hint = 'it hangs in the kernel, often in a GPU driver: the machine needs a reboot';
    const verdict = {
      rule: 'unkillable',
      scope: 'process',
      subject: id,
      severity: 'critical',
      action: 'record',
    } as const;
    this.#ladder.stands(group, [{ ...verdict, reason: message, hint, evidence: [] }]);
  }

  /** Somebody asked for it, or the machine boots. */
  #onWish(id: string): void {
    this.#files.arm(id);
    this.#decisions.delete(id);
    const failure = this.#failures.get(id);
    if (failure) this.#incidents.note(id, 'somebody asked for it again', failure.error.code);
  }

  #onReady(id: string): void {
    const failure = this.#failures.get(id);
    if (!failure) return;
    this.#failures.delete(id);
    this.#decisions.delete(id);
    const seconds = Math.round((this.#context.clock.elapsed() - failure.endedAt) / 100) / 10;
    this.#incidents.note(id, `ready again after ${seconds} s`, failure.error.code);
  }

  #onFailure(failure: Failure, decision: RestartDecision): void {
    const { instance: id, error, gpu } = failure;
    const { log } = this.#context;
    const { details = {} } = error;
    const lines = (value: unknown) => (Array.isArray(value) ? value.map(String) : []);
    this.#incidents.open({
      subject: id,
      scope: 'process',
      gpu,
      severity: decision.gaveUp ? 'critical' : 'error',
      cause: error,
      evidence: [...lines(details.evidence), ...this.#readExit(failure)],
      lastWords: lines(details.lastLines),
    });
    this.#incidents.note(id, decision.reason, error.code);
    this.#decisions.set(id, decision);
    this.#failures.set(id, failure);
    if (decision.gaveUp) log.error(`${id} is given up: ${decision.reason}`, { instance: id, error });
    else log.warn(`${id} failed: ${decision.reason}`, { instance: id, error });
    const instance = this.#find(id);
    if (instance && decision.restart)
      void this.#guarded(`the look at the GPU memory for ${id}`, () => this.#vram.failed(instance, decision.delayMs));
    if (instance && wasStable(failure, this.#policyOf(instance))) this.#files.forgetCount(id);
  }

  /** What the exit of its process means, where it ended by itself. */
  #readExit({ instance, error, exit }: Failure): readonly string[] {
    const pid = this.#pids.get(instance);
    if (!exit || pid === undefined || error.code !== 'CORE_PROCESS_EXITED') return [];
    const { code, signal } = exit;
    const meaning = exitMeaning({ instance, pid, code, signal, oomKill: this.#gpus.oomKillOf(pid) });
    return meaning ? [meaning.reason, meaning.evidence, meaning.hint] : [];
  }

  /** Somebody touched, or removed, its `restart_enabled`. */
  #onPermission(id: string, isAllowed: boolean): void {
    const { log } = this.#context;
    const instance = this.#find(id);
    if (!instance) return;
    const { state } = instance.status;
    log.info(`${id}: restarts are ${isAllowed ? 'allowed again' : 'forbidden'} by its restart_enabled`, {
      instance: id,
    });
    this.#incidents.note(id, `restart_enabled was ${isAllowed ? 'made' : 'removed'}`);
    const disabled = new RestartDisabledError({ instance: id, file: this.#files.pathOf(id) });
    // What is called off, or to be started all the same, waits for nothing.
    if (isAllowed || instance.giveUp(reportError(disabled))) this.#vram.letGo(id);
    if (!isAllowed) return;
    if (state === 'failed' || state === 'backoff') instance.retry();
  }

  #follow(instance: SupervisedInstance, { run, state }: InstanceStatus): void {
    const known = this.#runs.get(instance.id);
    if (run === undefined || (state !== 'starting' && state !== 'running')) {
      known?.over.abort();
      this.#runs.delete(instance.id);
      return;
    }
    const watched = known?.id === run ? known : this.#beginRun(instance, run, state === 'starting');
    if (known !== watched) known?.over.abort();
    this.#runs.set(instance.id, watched);
    if (state !== 'running' || watched.isAsked) return;
    watched.isAsked = true;
    watched.started.abort();
    const { signal } = watched.over;
    const liveness = {
      clock: this.#context.clock,
      signal,
      policy: this.#policyOf(instance),
      progressOf: () => progressIn(this.#feeders.ask(), instance.id),
    };
    void this.#untilItEnds(`the liveness of ${instance.id}`, () => watchLiveness(instance, liveness), signal);
  }

  #beginRun(instance: SupervisedInstance, id: string, isStarting: boolean): WatchedRun {
    const watched = { id, over: new AbortController(), started: new AbortController(), isAsked: false };
    const { startDeadlineMs: limitMs } = this.#policyOf(instance);
    if (isStarting && limitMs !== undefined) void this.#limitStart(instance, watched, limitMs);
    void this.#guarded(`the look at the GPU memory before ${instance.id}`, () => this.#vram.began(instance));
    return watched;
  }

  async #limitStart(instance: SupervisedInstance, { id, over, started }: WatchedRun, limitMs: number): Promise<void> {
    const signal = AbortSignal.any([over.signal, started.signal]);
    try {
      await this.#context.clock.sleep(limitMs, { signal });
    } catch {
      return; // it has started, or ended
    }
    const seen = await evidenceOf(instance);
    if (!signal.aborted && instance.status.run === id)
      instance.fail(new StartDeadlineError({ instance: instance.id, limitMs, ...seen }));
  }

  /** What events miss, and what has to be looked for; a part that fails keeps none of the others from it. */
  async #sweep(): Promise<void> {
    const instances = this.#instances;
    await this.#guarded('the look at the restart files', () => this.#lookAtFiles(instances));
    await this.#guarded('the search for lost instances', () => this.#findLost(instances));
    await this.#guarded('the writing of incidents', () => this.#incidents.flush());
    await this.#guarded('the look at what is out of service', () => this.#quarantine.look());
    await this.#guarded('the look at the intake', () => this.#intake.apply());
    await this.#guarded('the look at the processes', () => this.#processes.look(instances));
    await this.#guarded('the look at the host', () => this.#host.look());
  }

  #lookAtFiles(instances: readonly SupervisedInstance[]): void {
    const { clock } = this.#context;
    for (const instance of instances) {
      const { id, state, health, since } = instance.status;
      this.#files.look(id);
      const readyMs = state === 'running' && health === 'ready' ? clock.now() - Date.parse(since) : 0;
      if (readyMs >= this.#policyOf(instance).stableAfterMs) this.#files.forgetCount(id);
    }
  }

  /** Wanted, has been here, is down, and nobody is about to start it: twice in a row, as a start may be on its way. */
  #findLost(instances: readonly SupervisedInstance[]): void {
    const lost = instances.filter(({ id, status: { state, desired, until, reason } }) => {
      if (desired === 'down' || until !== undefined || !this.#pids.has(id)) return false;
      return state === 'stopped' ? reason === undefined : state === 'failed' && !this.#decisions.has(id);
    });
    for (const instance of lost) {
      if (!this.#lost.has(instance.id)) continue;
      this.#context.log.warn(`${instance.id} is ${instance.status.state} though it is wanted: it is started`);
      instance.retry();
    }
    this.#lost = new Set(lost.map(({ id }) => id));
  }

  async #observe(): Promise<void> {
    const observations = this.#feeders.ask();
    const instances = this.#instances;
    await this.#guarded('the look at faults of engines', () => this.#engineFaults.look(observations, instances));
    await this.#guarded('the look for idle engines', () => this.#ladder.renewIdle());
    if (this.#intake.isStopped()) await this.#guarded('the look at the intake', () => this.#intake.apply());
    const engines = new Set(observations.map(({ instance }) => instance));
    for (const each of instances.filter(({ id }) => engines.has(id))) {
      const look = () => this.#work.look(each, observations, this.#policyOf(each));
      await this.#guarded(`the look at the work of ${each.id}`, look);
    }
  }

  /** Until the watch ends. */
  async #repeat(ms: number, work: () => Promise<void>): Promise<void> {
    while (!this.#signal.aborted) {
      await this.#guarded('a look at the machine', work);
      await this.#pause(ms, this.#signal);
    }
  }

  /** Begun again as long as it fails: what goes wrong once may go well the next time. */
  async #untilItEnds(what: string, work: () => Promise<void>, signal: AbortSignal = this.#signal): Promise<void> {
    while (!(await this.#guarded(what, work)) && !signal.aborted) await this.#pause(againMs, signal);
  }

  #pause(ms: number, signal: AbortSignal): Promise<void> {
    return this.#context.clock.sleep(ms, { signal }).catch(() => {}); // it ends
  }

  /** Whether it went well; what did not is in the log. */
  async #guarded(what: string, work: () => unknown): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      if (!this.#signal.aborted) this.#context.log.error(`${what} failed`, { error });
      return false;
    }
  }
}
