import { abortable } from '../clock.ts';
import type { InstallContext } from '../definition/define-service.ts';
import { DependencyFailedError, StartAbortedError } from '../errors/core-errors.ts';
import { type MgpuError, reviveError } from '../errors/mgpu-error.ts';
import type { BaseService } from '../service/base-service.ts';
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
  readonly plan: MachinePlan;
  readonly supervised: ReadonlyMap<string, Supervised>;
  readonly trace: BootTrace;
  /** Its signal cancels every step. */
  readonly install: InstallContext;
  readonly settings: Readonly<Record<string, unknown>>;
  /** Called at the first critical failure, to cancel the rest. */
  readonly cancel: (reason: MgpuError) => void;
}

interface Step {
  readonly node: string;
  readonly phase: string;
  readonly critical: boolean;
  readonly work: () => Promise<void>;
  readonly waitedFor?: string | undefined;
  /** True when the failure is somebody's wish: then it is none. */
  readonly isCalledOff: () => boolean;
}

/**
 * Installs each kind once and starts each instance as soon as what it waits for is there, everything independent at the
 * same time. Resolves when every step has settled, with the critical ones that failed.
 */
export async function bootMachine(options: BootOptions): Promise<readonly BootFailure[]> {
  const { plan, trace, install, settings, cancel } = options;
  const { signal, log } = install;
  const failures: BootFailure[] = [];
  const failed = ({ node, critical, isCalledOff }: Omit<Step, 'work'>, error: unknown) => {
    if (isCalledOff()) return;
    if (!critical) return log.warn(`${node} failed, the boot goes on`, { error });
    failures.push({ node, error });
    cancel(new StartAbortedError({ instance: 'machine' }));
  };
  const run = async (step: Step) => {
    const { phase, node, work, waitedFor } = step;
    if (signal.aborted) return trace.skip(phase, node, 'cancelled', signal.reason);
    try {
      await trace.step(phase, node, work, waitedFor);
    } catch (error) {
      failed(step, error);
      throw error;
    }
  };
  for (const { definition } of plan.instances) trace.expect(definition.phase, definition.critical, 1);
  for (const { install, phase, critical } of plan.definitions) if (install) trace.expect(`${phase} setup`, critical, 1);

  const installs = new Map<string, Promise<void>>();
  for (const definition of plan.definitions) {
    if (!definition.install) continue;
    const { kind, phase, critical } = definition;
    const work = async () => definition.install?.({ ...install, log: log.child({ kind }) }, settings[kind]);
    const isCalledOff = () => signal.aborted;
    const done = run({ node: `${kind}:install`, phase: `${phase} setup`, critical, work, isCalledOff });
    installs.set(kind, quiet(done)); // each instance of the kind hears of it below
  }

  const started = new Map(plan.instances.map(({ id }) => [id, Promise.withResolvers<void>()]));
  const ready = new Map<string, Promise<void>>();
  const settled = new Set<Promise<void> | undefined>();
  const startOne = async ({ id, definition, dependsOn }: PlannedInstance, supervised: Supervised): Promise<void> => {
    const { phase, critical, kind } = definition;
    const isCalledOff = () => signal.aborted || !supervised.isWanted;
    const step = { node: `${id}:start`, phase, critical, isCalledOff };
    let waitedFor: string | undefined;
    try {
      await abortable(installs.get(kind) ?? Promise.resolve(), signal);
      for (const { id: dependency, when } of dependsOn) {
        const there = when === 'started' ? started.get(dependency)?.promise : ready.get(dependency);
        if (!settled.has(there)) waitedFor = dependency;
        try {
          await abortable(there ?? Promise.resolve(), signal);
          const service = options.supervised.get(dependency)?.instance.service;
          if (when === 'completed' && service) await completion(service, signal);
        } catch (cause) {
          throw signal.aborted ? cause : new DependencyFailedError({ node: id, dependency }, { cause });
        }
      }
      // Somebody may have stopped it while it waited.
      if (!supervised.isWanted) throw new StartAbortedError({ instance: id });
    } catch (error) {
      started.get(id)?.reject(error);
      trace.skip(phase, step.node, isCalledOff() ? 'cancelled' : 'skipped', error);
      supervised.block(isCalledOff() ? undefined : error);
      failed(step, error);
      throw error;
    }
    started.get(id)?.resolve();
    await run({ ...step, waitedFor, work: () => supervised.start({ signal }) });
  };
  const note = (done: Promise<void>) => {
    const settle = () => void settled.add(done);
    done.then(settle, settle);
  };
  for (const { promise } of started.values()) note(promise);
  const instances = new Map(plan.instances.map((each) => [each.id, each]));
  for (const id of topological(plan.graph)) {
    const instance = instances.get(id);
    const supervised = options.supervised.get(id);
    if (!instance || !supervised) continue;
    const done = startOne(instance, supervised);
    note(done);
    ready.set(id, done); // dependents and the report hear of a failure
  }
  await Promise.allSettled([...installs.values(), ...ready.values()]);
  return failures;
}

/** Resolves when a service that is meant to end has done so; rejects when it came to another end. */
async function completion(service: BaseService<object>, signal: AbortSignal): Promise<void> {
  const ended = Promise.withResolvers<void>();
  const look = ({ id, state, reason }: ServiceStatus) => {
    if (state === 'completed') ended.resolve();
    if (state === 'failed' || state === 'stopped' || state === 'unkillable')
      ended.reject(reason && 'code' in reason ? reviveError(reason) : new StartAbortedError({ instance: id }));
  };
  const off = service.on('status', look);
  try {
    look(service.status);
    await abortable(ended.promise, signal);
  } finally {
    off();
  }
}

function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {}); // whoever needs it hears of its failure
  return promise;
}
