import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  BaseService,
  composeConfigSchema,
  coreErrors,
  defineService,
  type Failure,
  type InstanceStatus,
  layoutOf,
  Orchestrator,
  type PastFailure,
  type Probes,
  type RestartDecision,
  type RestartPolicy,
  type Run,
  type SupervisedInstance,
  type Supervisor,
} from '@mgpu/core';
import type { FakeClock } from '@mgpu/core/testing';
import fc from 'fast-check';
import { expect } from 'vitest';
import { z } from 'zod';
import { errorLog } from '../service/scripted.ts';
import { instanceGraph, longestEndMs, passingStates, Tracker } from './graph.ts';
import { askedArbitrary, goodMood, type Mood, Performer } from './performer.ts';
import { mortalClock } from './schedules.ts';

const backoffCapMs = 60_000;
const coolOffMs = 300_000;

const partArbitrary = fc.record({
  critical: fc.boolean(),
  isOneShot: fc.boolean(),
  /** On which of those before it it depends, and how. */
  on: fc.array(fc.constantFrom('none', 'started', 'ready', 'completed'), { minLength: 3, maxLength: 3 }),
  asked: askedArbitrary,
});

export const partsArbitrary = fc.array(partArbitrary, { minLength: 1, maxLength: 4 });
export type Part = typeof partArbitrary extends fc.Arbitrary<infer T> ? T : never;

export const policyNames = ['backs off', 'gives up', 'never', 'throws'] as const;
export type PolicyName = (typeof policyNames)[number];

const decisions: Readonly<Record<PolicyName, (failures: number) => RestartDecision>> = {
  'backs off': (n) =>
    n < 4
      ? { restart: true, delayMs: n === 0 ? 0 : Math.min(1_000 * 4 ** n, backoffCapMs), reason: 'again' }
      : { restart: true, delayMs: coolOffMs, reason: 'too often', gaveUp: true },
  'gives up': (n) =>
    n < 2
      ? { restart: true, delayMs: 1_000, reason: 'again' }
      : { restart: false, delayMs: 0, reason: 'too often', gaveUp: true },
  never: () => ({ restart: false, delayMs: 0, reason: 'nothing restarts it' }),
  throws: () => {
    throw new Error('the policy is broken');
  },
};

export const idOf = (index: number) => `part${index}`;

/** What a daemon left on disk about an instance. */
interface Kept {
  readonly desired: 'up' | 'down';
  readonly attempt: number;
  readonly nextStart?: { readonly state: 'backoff' | 'failed'; readonly until?: number };
}

export function keptIn(root: string, id: string): Kept | undefined {
  const path = join(layoutOf(root).run, `${id}.state.json`);
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
}

/** One daemon's life on a root, watched from outside. */
export class Daemon {
  readonly orchestrator: Orchestrator;
  readonly clock: ReturnType<typeof mortalClock>;
  readonly performers: ReadonlyMap<string, Performer>;
  readonly trackers: ReadonlyMap<string, Tracker<InstanceStatus>>;
  readonly holds = new Map<string, Set<string>>();
  /** Whose next start somebody brought forward. */
  readonly #nudged = new Set<string>();
  /** Boots under way: each asks for everything, whenever its turn comes. */
  #booting = 0;
  /** Instances that failed or that somebody stopped, in this order. */
  readonly fallen: string[] = [];
  readonly everHeld = new Set<string>();
  /** How many had fallen when each boot began. */
  readonly #boots = new WeakMap<Promise<unknown>, number>();
  readonly root: string;
  readonly #problem: (text: string) => void;
  readonly #parts: readonly Part[];
  #dismiss: () => void = () => {};

  constructor(options: {
    root: string;
    clock: FakeClock;
    parts: readonly Part[];
    moods: ReadonlyMap<string, Mood>;
    policy: PolicyName | 'nobody';
    problem: (text: string) => void;
  }) {
    const { root, parts, policy, problem } = options;
    const clock = mortalClock(options.clock);
    this.root = root;
    mkdirSync(layoutOf(root).run, { recursive: true });
    this.clock = clock;
    this.#problem = problem;
    this.#parts = parts;
    this.performers = new Map(
      parts.map(({ asked }, index) => [
        idOf(index),
        new Performer(clock, asked, (text) => problem(`${idOf(index)}: ${text}`)),
      ]),
    );
    for (const [id, performer] of this.performers) performer.mood = options.moods.get(id) ?? goodMood;
    const definitions = parts.map((part, index) => this.#define(part, idOf(index)));
    this.orchestrator = new Orchestrator({
      definitions,
      gpus: [],
      config: composeConfigSchema(definitions).parse({ services: {} }),
      layout: layoutOf(root),
      machineId: 'bench',
      env: {},
      clock,
      log: errorLog((message) => {
        if (message.includes('listener')) problem(message);
      }),
    });
    this.trackers = new Map(
      this.orchestrator
        .status()
        .map((status) => [status.id, new Tracker<InstanceStatus>(instanceGraph, status, problem)]),
    );
    this.orchestrator.on('instance', (status) => this.#hear(status));
    if (policy !== 'nobody') this.appoint(policy);
  }

  get supervisor(): Supervisor {
    return this.orchestrator.view.supervisor;
  }

  get ids(): readonly string[] {
    return [...this.performers.keys()];
  }

  instance(id: string): SupervisedInstance {
    const found = this.supervisor.instances().find((each) => each.id === id);
    if (!found) throw new Error(`no ${id}`);
    return found;
  }

  appoint(name: PolicyName): void {
    const policy: RestartPolicy = {
      decide: (failure, history) => {
        this.#expectFailure(failure, history);
        return decisions[name](history.length);
      },
    };
    this.#dismiss = this.supervisor.appoint(policy);
  }

  /** Somebody asks for these, whatever they wait for; default: for all. */
  nudge(...ids: readonly string[]): void {
    for (const id of ids.length > 0 ? ids : this.ids) this.#nudged.add(id);
  }

  dismiss(): void {
    this.#dismiss();
  }

  /** Everything it needs of others, however far off. */
  foundationsOf(id: string): readonly string[] {
    const index = Number(id.slice('part'.length));
    const direct = (this.#parts[index]?.on ?? []).flatMap((when, on) =>
      when === 'none' || on >= index ? [] : [idOf(on)],
    );
    return [...new Set(direct.flatMap((each) => [each, ...this.foundationsOf(each)]))];
  }

  /** Boots, and looks whether it fails for a reason. */
  async boot(options: { signal?: AbortSignal }): Promise<unknown> {
    const booted = this.orchestrator.start(options); // callers share one
    this.#count(booted);
    const before = this.#boots.get(booted) ?? this.fallen.length;
    this.#boots.set(booted, before);
    try {
      return await booted;
    } catch (error) {
      if (error instanceof coreErrors.BootFailedError) {
        const fallen = new Set(this.fallen.slice(before));
        for (const node of error.details.failed as string[]) this.#expectReason(node.replace(':start', ''), fallen);
      }
      throw error;
    }
  }

  startMissing(): Promise<unknown> {
    const booted = this.orchestrator.startMissing();
    this.#count(booted);
    return booted;
  }

  #count(booted: Promise<unknown>): void {
    this.#booting += 1;
    const over = () => {
      this.#booting -= 1;
    };
    booted.then(over, over);
  }

  /** What must hold at any time. */
  check(): void {
    for (const status of this.orchestrator.status()) {
      const tracker = this.trackers.get(status.id);
      expect(tracker?.last, 'the last event says how it is').toEqual(status);
      const sinceMs = this.clock.elapsed() - (tracker?.enteredAt ?? 0);
      if (passingStates.includes(status.state) && sinceMs > longestEndMs) {
        this.#problem(`${status.id} is ${status.state} since ${sinceMs} ms`);
      }
    }
  }

  #define(part: Part, id: string) {
    const index = Number(id.slice('part'.length));
    const performer = this.performers.get(id) as Performer;
    const begin = (run: Run) => {
      const status = this.trackers.get(id)?.last;
      if (status?.desired !== 'up') this.#problem(`${id} is started though nobody wants it`);
      if (this.holds.get(id)?.size) this.#problem(`${id} is started though it is on hold`);
      return performer.play(run);
    };
    class Actor extends BaseService<object> {
      #run: Run | undefined;
      protected override async onStart(run: Run): Promise<void> {
        this.#run = run;
        await begin(run);
        if (part.isOneShot) run.complete();
      }
      protected override probes(): Probes {
        return performer.probes(this.#run);
      }
    }
    return defineService({
      api: 1,
      kind: id,
      summary: id,
      scope: 'machine',
      critical: part.critical,
      phase: id,
      schema: z.strictObject({ enabled: z.boolean().default(true) }),
      dependsOn: part.on.flatMap((when, on) =>
        when === 'none' || on >= index
          ? []
          : [
              {
                on: idOf(on),
                // Nobody may wait for the end of what is not meant to end.
                when:
                  when === 'completed' && !this.#parts[on]?.isOneShot
                    ? 'ready'
                    : (when as 'ready' | 'started' | 'completed'),
              },
            ],
      ),
      create: (_, context) => new Actor({}, context),
    });
  }

  #hear(status: InstanceStatus): void {
    const { id, state, attempt, until, reason } = status;
    const tracker = this.trackers.get(id);
    if (!tracker) return;
    const { last } = tracker;
    const now = this.clock.now();
    tracker.hear(status, this.clock.elapsed(), { isProved: (run) => this.performers.get(id)?.isProved(run) === true });
    if (attempt < last.attempt && attempt !== 0)
      this.#problem(`${id}: attempt went from ${last.attempt} to ${attempt}`);
    if (until !== undefined && Date.parse(until) - now > (state === 'backoff' ? backoffCapMs : coolOffMs)) {
      this.#problem(`${id} waits longer than the policy ever says`);
    }
    this.#expectKept(status);
    if (state === 'backoff' && until === undefined) this.#problem(`${id} is in back-off for ever`);
    if (
      state === 'starting' &&
      last.until !== undefined &&
      Date.parse(last.until) > now &&
      !this.#nudged.has(id) &&
      this.#booting === 0
    ) {
      this.#problem(`${id} is started before its time`);
    }
    if (state === 'starting') this.#nudged.delete(id);
    // Of a run that ends as failed nothing is shown afterwards when it is put on hold meanwhile.
    const isFailing = state === 'cleaning' && reason !== undefined;
    if (isFailing || state === 'failed' || state === 'backoff' || state === 'unkillable') this.fallen.push(id);
  }

  /** What is told is on disk already: whoever goes on from there must not know less. */
  #expectKept({ id, state, desired, attempt, until }: InstanceStatus): void {
    // One that has not booted does not know yet what was left to it.
    if (this.orchestrator.boot.phases.length === 0) return;
    const kept = keptIn(this.root, id);
    const told = `${id} is told as ${state}, ${desired}, attempt ${attempt}`;
    if (!kept && desired === 'up') this.#problem(`${told}, and not kept`);
    if (kept && (kept.desired !== desired || kept.attempt !== attempt))
      this.#problem(`${told}, and kept as ${kept.desired}, attempt ${kept.attempt}`);
    if (until !== undefined && state !== 'blocked' && kept?.nextStart?.state !== state)
      this.#problem(`${told}, and kept as ${kept?.nextStart?.state}`);
  }

  /** What failed a boot has fallen itself, or something that it needs has; being kept from starting is no reason. */
  #expectReason(id: string, fallen: ReadonlySet<string>): void {
    const needed = [id, ...this.foundationsOf(id)];
    if (needed.some((each) => fallen.has(each))) return;
    if (needed.some((each) => this.holds.get(each)?.size)) this.#problem(`the boot failed because ${id} is on hold`);
    else if (!needed.some((each) => this.everHeld.has(each)))
      this.#problem(`the boot failed, ${id} and what it needs did not`);
  }

  #expectFailure(failure: Failure, history: readonly PastFailure[]): void {
    const { instance, startedAt, readyMs = 0, endedAt } = failure;
    const { state } = this.instance(instance).status;
    if (state !== 'failed') this.#problem(`a failure of ${instance} is decided about while it is ${state}`);
    if (!(0 <= readyMs && startedAt + readyMs <= endedAt))
      this.#problem(`a failure of ${instance} that ends before it begins`);
    const former = history.at(-1)?.endedAt ?? 0;
    if (former > endedAt) this.#problem(`a failure of ${instance} comes before the former one`);
  }
}
