import { abortable } from '../clock.ts';
import type { AnyServiceDefinition, DependencyState, InstallContext } from '../definition/define-service.ts';
import { DependencyFailedError, InstanceHeldError, StartAbortedError } from '../errors/core-errors.ts';
import { type MgpuError, reviveError } from '../errors/mgpu-error.ts';
import type { ServiceStatus } from '../service/types.ts';
import type { BootTrace } from './boot-trace.ts';
import { topological } from './graph.ts';
import type { MachinePlan, PlannedInstance } from './plan.ts';
import type { Supervised } from './supervised.ts';

/** A critical step that failed. */
export interface BootFailure {
  readonly node: string;
  readonly error: unknown;
}

export interface BootOptions {
  /** What to install and start; what it depends on beyond that runs already. */
  readonly plan: MachinePlan;
  readonly supervised: ReadonlyMap<string, Supervised>;
  readonly trace: BootTrace;
  /** What install steps get. Its signal cancels every step. */
  readonly install: InstallContext;
  readonly settings: Readonly<Record<string, unknown>>;
  /** Awaited before the first step of each phase begins. */
  readonly beforePhase?: ((phase: string, signal: AbortSignal) => Promise<void>) | undefined;
  /** Instances whose process lives already: they wait for nobody. */
  readonly orphans?: ReadonlySet<string>;
  /** Called at each critical failure, to cancel the rest. Without it no failure is critical. */
  readonly cancel?: (reason: MgpuError) => void;
}

interface Step {
  readonly node: string;
  readonly phase: string;
  readonly critical: boolean;
  /** True when the failure is somebody's wish: then it is none. */
  readonly isCalledOff: () => boolean;
}

/**
 * Installs each kind once and starts each instance as soon as what it waits for is there, everything independent at the
 * same time. Resolves when every step has settled, with the critical ones that failed.
 */
export async function bootMachine(options: BootOptions): Promise<readonly BootFailure[]> {
  return new Boot(options).run();
}

class Boot {
  readonly #options: BootOptions;
  readonly #signal: AbortSignal;
  readonly #failures: BootFailure[] = [];
  /** By kind. */
  readonly #installs = new Map<string, Milestone>();
  /** By instance: its turn has come. */
  readonly #turns = new Map<string, Milestone>();
  /** By instance: it is started. */
  readonly #starts = new Map<string, Milestone>();
  /** Of what can be tried out. */
  readonly #verifications: Promise<void>[] = [];
  /** By phase: it may begin. */
  readonly #openings = new Map<string, Promise<void>>();

  constructor(options: BootOptions) {
    this.#options = options;
    this.#signal = options.install.signal;
  }

  async run(): Promise<readonly BootFailure[]> {
    const { plan, trace } = this.#options;
    for (const { definition } of plan.instances) trace.expect(definition.phase, definition.critical);
    for (const { id } of plan.instances) {
      if (this.#isToBeVerified(this.#options.supervised.get(id))) trace.expect(verification, false);
    }
    const installable = plan.definitions.filter(({ install }) => install !== undefined);
    for (const each of installable) trace.expect(setupOf(each), each.critical);
    for (const each of installable)
      this.#installs.set(each.kind, new Milestone(`${each.kind}:install`, this.#install(each)));
    const instances = new Map(plan.instances.map((each) => [each.id, each]));
    for (const id of topological(plan.graph)) {
      const instance = instances.get(id);
      const supervised = this.#options.supervised.get(id);
      if (!instance || !supervised) continue;
      const turn = this.#takeTurn(instance, supervised);
      this.#turns.set(id, new Milestone(id, turn));
      const start = this.#start(instance, supervised, turn);
      this.#starts.set(id, new Milestone(id, start));
      if (this.#isToBeVerified(supervised)) this.#verifications.push(this.#verify(supervised, start));
    }
    const milestones = [...this.#installs.values(), ...this.#starts.values()].map(({ reached }) => reached);
    await Promise.allSettled([...milestones, ...this.#verifications]);
    return this.#failures;
  }

  async #install(definition: AnyServiceDefinition): Promise<void> {
    const { install, settings } = this.#options;
    const { kind, critical } = definition;
    const isCalledOff = () => this.#signal.aborted;
    const phase = setupOf(definition);
    const opening = this.#opening(phase);
    if (opening) await opening.catch(() => {}); // a failure of the step, below
    await this.#run({ node: `${kind}:install`, phase, critical, isCalledOff }, async () => {
      if (opening) await opening;
      const context = { ...install, log: install.log.child({ kind }) };
      // One that does not heed the signal must not keep the machine from stopping.
      await abortable(Promise.resolve(definition.install?.(context, settings[kind])), this.#signal);
    });
  }

  /** Waits for the install and the dependencies; resolves with the last one it had to wait for. */
  async #takeTurn(instance: PlannedInstance, supervised: Supervised): Promise<string | undefined> {
    const { id, definition, dependsOn } = instance;
    let waitedFor: string | undefined;
    const reach = async (milestone: Milestone | undefined) => {
      if (milestone?.isSettled === false) waitedFor = milestone.name;
      await abortable(milestone?.reached ?? Promise.resolve(), this.#signal);
    };
    try {
      // What lives already needs nobody to begin.
      const isOrphan = this.#options.orphans?.has(id) === true;
      if (!isOrphan) await reach(this.#installs.get(definition.kind));
      for (const { id: dependency, when } of isOrphan ? [] : dependsOn) {
        try {
          await reach(this.#milestone(dependency, when));
          const foundation = this.#options.supervised.get(dependency);
          const isOneShot = when === 'completed' || when === 'settled';
          if (isOneShot && foundation) await completion(foundation, this.#signal);
        } catch (cause) {
          const isContent = when === 'settled' || when === 'installed';
          if (isContent && !this.#signal.aborted) continue;
          throw this.#signal.aborted ? cause : new DependencyFailedError({ node: id, dependency }, { cause });
        }
      }
      const opening = isOrphan ? undefined : this.#opening(definition.phase);
      if (opening) await opening;
      // Somebody may have stopped it while it waited.
      if (!supervised.isWanted) throw new StartAbortedError({ instance: id });
      const held = heldError(supervised);
      if (held) throw held;
      return waitedFor;
    } catch (error) {
      const step = this.#startOf(instance, supervised);
      const isCalledOff = step.isCalledOff();
      this.#options.trace.skip(step.phase, step.node, {
        critical: step.critical && !isOnHold(error),
        outcome: isCalledOff ? 'cancelled' : 'skipped',
        error,
      });
      if (!(error instanceof InstanceHeldError)) supervised.block(isCalledOff ? undefined : error);
      this.#failed(step, error);
      throw error;
    }
  }

  #milestone(id: string, when: DependencyState): Milestone | undefined {
    if (when !== 'installed') return (when === 'started' ? this.#turns : this.#starts).get(id);
    const kind = this.#options.plan.instances.find((each) => each.id === id)?.definition.kind;
    return kind === undefined ? undefined : this.#installs.get(kind);
  }

  async #start(instance: PlannedInstance, supervised: Supervised, turn: Promise<string | undefined>): Promise<void> {
    const waitedFor = await turn;
    const work = () => supervised.start({ signal: this.#signal });
    await this.#run(this.#startOf(instance, supervised), work, waitedFor);
  }

  /** What a former daemon has left running has been tried out then, and may be in the middle of something. */
  #isToBeVerified(supervised: Supervised | undefined): supervised is Supervised {
    if (!supervised || this.#options.orphans?.has(supervised.id)) return false;
    return supervised.instance.service.isVerifiable;
  }

  /** As soon as it is started, for whoever has work for it that takes long may be quick, too. */
  async #verify(supervised: Supervised, start: Promise<void>): Promise<void> {
    const { id, instance } = supervised;
    const isCalledOff = () => this.#signal.aborted || !supervised.isWanted;
    const step = { node: `${id}:verify`, phase: verification, critical: false, isCalledOff };
    try {
      await start;
    } catch (error) {
      const outcome = isCalledOff() ? 'cancelled' : 'skipped';
      return this.#options.trace.skip(step.phase, step.node, { critical: false, outcome, error });
    }
    const work = async () => {
      try {
        const isProved = await instance.service.verify({ signal: this.#signal });
        if (!isProved) this.#options.install.log.info(`${id} is busy with the work of others, and was not tried out`);
      } catch (error) {
        throw isCalledOff() ? new StartAbortedError({ instance: id }) : error;
      }
    };
    await this.#run(step, work);
  }

  /** Undefined where nobody wants to be asked. */
  #opening(phase: string): Promise<void> | undefined {
    const opening = this.#openings.get(phase) ?? this.#options.beforePhase?.(phase, this.#signal);
    if (opening) this.#openings.set(phase, opening);
    return opening;
  }

  #startOf({ id, definition: { phase, critical } }: PlannedInstance, supervised: Supervised): Step {
    const isCalledOff = () => this.#signal.aborted || !supervised.isWanted;
    return { node: `${id}:start`, phase, critical, isCalledOff };
  }

  async #run(step: Step, work: () => Promise<void>, waitedFor?: string): Promise<void> {
    const { trace } = this.#options;
    const { phase, node, critical } = step;
    if (this.#signal.aborted)
      return trace.skip(phase, node, { critical, outcome: 'cancelled', error: this.#signal.reason });
    try {
      await trace.step(phase, node, work, { critical, waitedFor });
    } catch (error) {
      this.#failed(step, error);
      throw error;
    }
  }

  #failed({ node, critical, isCalledOff }: Step, error: unknown): void {
    const { cancel, install } = this.#options;
    if (isCalledOff()) return;
    // Whoever keeps it from starting knows what is wrong; that is no failure of the boot.
    if (critical && cancel && !isOnHold(error)) {
      this.#failures.push({ node, error });
      cancel(new StartAbortedError({ instance: 'machine' }));
    } else install.log.warn(`${node} failed, the boot goes on`, { error });
  }
}

/** Something that others wait for. */
class Milestone {
  readonly name: string;
  readonly reached: Promise<unknown>;
  isSettled = false;

  constructor(name: string, reached: Promise<unknown>) {
    this.name = name;
    this.reached = reached;
    const settle = () => {
      this.isSettled = true;
    };
    reached.then(settle, settle); // whoever waits hears of a failure
  }
}

const heldError = ({ id, obstacle }: Supervised): MgpuError | undefined =>
  obstacle && new InstanceHeldError({ instance: id, reason: obstacle.message });

/** It is kept from starting on purpose, or something is that it waits for. */
const isOnHold = (error: unknown): boolean =>
  error instanceof InstanceHeldError || (error instanceof DependencyFailedError && isOnHold(error.cause));

const verification = 'verification';
const setupOf = ({ phase }: AnyServiceDefinition) => `${phase} setup`;

/** Resolves when a service that is meant to end has done so; rejects when it came to another end. */
async function completion(supervised: Supervised, signal: AbortSignal): Promise<void> {
  const { service } = supervised.instance;
  const ended = Promise.withResolvers<void>();
  const look = ({ id, state, reason }: ServiceStatus) => {
    if (state === 'completed') ended.resolve();
    if (state === 'failed' || state === 'stopped' || state === 'unkillable')
      ended.reject(
        reason && 'code' in reason
          ? reviveError(reason)
          : (heldError(supervised) ?? new StartAbortedError({ instance: id })),
      );
  };
  const off = service.on('status', look);
  try {
    look(service.status);
    await abortable(ended.promise, signal);
  } finally {
    off();
  }
}
