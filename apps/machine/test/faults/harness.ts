import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { ControlClient, type MachineStatus, socketPathOf } from '@mgpu/control';
import { type InstanceStatus, type LogLine, layoutOf, readLogBatches } from '@mgpu/core';
import { describe, expect, test } from 'vitest';
import { type Box, type Ended, openBox, samplerWorkflow } from '../support.ts';
import {
  contradictions,
  doubleRuns,
  expectLinesWhole,
  expectNothingLeft,
  miscounts,
  orphans,
  recordsOf,
  sharedGpus,
  speakersOf,
} from './invariants.ts';
import { type Found, lives, look, markedProcesses, residentMiB, ticksNow } from './processes.ts';
import { random, seed } from './random.ts';
import type { Behaviour } from './subjects.ts';

/** The block of a configuration, by kind. */
export type Services = (port: number, box: string) => Record<string, Record<string, unknown>>;

/** A fault as data: what is injected into which machine, and the words that must hold afterwards. */
export interface Scenario {
  readonly name: string;
  /** `services:`, by the first of 100 ports that are free. */
  readonly services?: Services;
  readonly machine?: object;
  /** Of the daemon; `box` is the folder of its configuration. */
  readonly env?: (box: string) => Readonly<Record<string, string>>;
  /** Before the machine comes up. */
  readonly before?: (patient: Patient) => Promise<unknown> | unknown;
  /** The exit code that `mgpu up` is to have. Default 0. */
  readonly up?: number;
  readonly inject?: (patient: Patient) => Promise<unknown> | unknown;
  /** In this order, each with what proves it. The invariants are checked after every one. */
  readonly mustHold: Readonly<Record<string, (patient: Patient) => Promise<unknown> | unknown>>;
  /** Tried in the short form of the suite, too: one of its kind. */
  readonly short?: boolean;
  /** Milliseconds its injection takes, on top of what any scenario may. */
  readonly timeoutMs?: number;
  /** Instances whose output may have gaps, as long as the reader tells of them. */
  readonly mayLose?: readonly string[];
  /** Why it cannot be tried on this host. */
  readonly skip?: string | false;
}

/** The suite's long form: every scenario, and minutes of everything at once. */
export const isLong = process.env.MGPU_FAULTS === 'long';

/** Milliseconds a state may take to come: many, for a box that is busy with others. */
export const patienceMs = 60_000;
const scenarioMs = 5 * patienceMs;

/** Milliseconds of the fastest of three tries: a busy box makes any of them slow, what is wrong all of them. */
export async function fastest(limitMs: number, attempt: () => Promise<number>): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let n = 0; n < 3 && best >= limitMs; n++) best = Math.min(best, await attempt());
  return best;
}

/** Makes a test of each scenario, in an order of the seed's. */
export function tryFaults(group: string, scenarios: readonly Scenario[]): void {
  const order = scenarios
    .map((scenario) => ({ scenario, place: random() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ scenario }) => scenario);
  describe(`${group} (seed ${seed})`, () => {
    for (const scenario of order) {
      const isLeftOut = Boolean(scenario.skip) || !(scenario.short || isLong);
      const timeout = scenarioMs + (scenario.timeoutMs ?? 0);
      test.skipIf(isLeftOut)(scenario.name, { timeout }, () => tryFault(scenario));
    }
  });
}

async function tryFault(scenario: Scenario): Promise<void> {
  await using patient = await Patient.open(scenario);
  const step = async (words: string, work: () => unknown) => {
    try {
      await work();
      await patient.expectInvariants();
    } catch (error) {
      throw new Error(`"${words}" does not hold: ${(error as Error).message}\n${patient.story(40)}`, { cause: error });
    }
  };
  await step('the machine comes up', async () => {
    await scenario.before?.(patient);
    const { code, stderr, stdout } = await patient.up();
    expect(code, `${stdout}${stderr}`).toBe(scenario.up ?? 0);
    if (code !== 0) patient.daemonMayEnd();
  });
  await step('the fault can be injected', () => scenario.inject?.(patient));
  for (const [words, holds] of Object.entries(scenario.mustHold)) await step(words, () => holds(patient));
  await step('mgpu down leaves nothing', () => patient.expectGone());
}

/** What `toMatchObject` compares an instance's status with. */
type Expected = { readonly [K in keyof InstanceStatus]?: unknown };

/** What a subject says of itself: who it is as the author of lines, and how many of those and bytes in all it has printed. */
interface Said {
  readonly pid: number;
  readonly author: string;
  readonly lines: number;
  readonly bytes: number;
}

/** A real machine on a root of its own: daemon, command and instances are processes, watched from outside. */
export class Patient implements AsyncDisposable {
  readonly box: Box;
  readonly client: ControlClient;
  readonly #env: Readonly<Record<string, string>>;
  readonly #ended = new AbortController();
  readonly #watching: Promise<unknown>;
  readonly #violations = new Set<string>();
  /** The longest pause between two starts that the watchdog was told of, milliseconds. */
  readonly #capMs: number;
  readonly #mayLose: readonly string[];
  /** Every process that ever was seen, for what it may leave behind. */
  readonly #seen = new Set<number>();
  readonly #seenRuns = new Set<string>();
  /** When an instance was told not to be wanted any more, in clock ticks after boot. */
  readonly #unwantedSince = new Map<string, number>();
  readonly #events: InstanceStatus[] = [];
  /** The last status of every instance as its events told it, of the present daemon. */
  #told = new Map<string, InstanceStatus>();
  readonly #endedRuns = new Set<string>();
  /** Every daemon that told of itself, with its start time; those that may have ended are taken out. */
  readonly #daemons = new Map<number, number>();
  readonly #story: string[] = [];
  readonly #cleanups: (() => unknown)[] = [];

  private constructor(box: Box, env: Readonly<Record<string, string>>, capMs: number, mayLose: readonly string[]) {
    this.box = box;
    this.#env = env;
    this.#capMs = capMs;
    this.#mayLose = mayLose;
    this.client = new ControlClient({ socketPath: socketPathOf(layoutOf(box.root)), answerTimeoutMs: 60_000 });
    this.#watching = Promise.all([this.#watchProcesses(), this.#watchEvents()]);
  }

  static async open({ services = () => ({}), machine, env = () => ({}), mayLose = [] }: Scenario): Promise<Patient> {
    const quiet = {
      comfyui: { enabled: false },
      worker: { enabled: false },
      redis: { enabled: false },
      nginx: { enabled: false },
    };
    const box = await openBox(
      (port, dir) => ({ ...quiet, ...services(port, dir) }),
      { gpu: { mode: 'mock', count: 2 }, ...machine },
      [join(import.meta.dirname, 'subjects.ts')],
    );
    return new Patient(box, env(box.dir), longestPauseMs(services(box.port, box.dir).watchdog), mayLose);
  }

  get root(): string {
    return this.box.root;
  }

  /** Undone when the scenario ends, last first. */
  defer(cleanup: () => unknown): void {
    this.#cleanups.push(cleanup);
  }

  note(text: string): void {
    this.#story.push(`${new Date().toISOString().slice(11, 23)} ${text}`);
  }

  /** What happened: all of it, or the last so many lines. */
  story(lines = Number.POSITIVE_INFINITY): string {
    return this.#story.slice(-lines).join('\n');
  }

  up(): Promise<Ended> {
    this.note('mgpu up');
    return this.box.mgpu(['up', '--detach'], { ...this.#env });
  }

  /** Another `mgpu up` that must go well. With `partly`, something may be just about to be restarted. */
  async comesUp({ partly = false } = {}): Promise<void> {
    const { code, stdout, stderr } = await this.up();
    expect(partly ? [0, 4] : [0], `${code}: ${stdout}${stderr}`).toContain(code);
  }

  async down(...options: string[]): Promise<Ended> {
    this.note(`mgpu down ${options.join(' ')}`);
    const ended = await this.box.mgpu(['down', ...options]);
    this.daemonMayEnd();
    return ended;
  }

  /** The daemons so far were told to end; any other that is gone has crashed. */
  daemonMayEnd(): void {
    this.#daemons.clear();
  }

  status(): Promise<MachineStatus> {
    return this.client.status();
  }

  async instance(id: string): Promise<InstanceStatus> {
    const found = (await this.status()).instances.find((each) => each.id === id);
    if (!found) throw new Error(`there is no ${id}`);
    return found;
  }

  /** Resolves when the instance is like this. It may take as long as the scenario. */
  async until(id: string, expected: Expected): Promise<InstanceStatus> {
    await expect.poll(() => this.instance(id), { timeout: patienceMs, interval: 50 }).toMatchObject(expected);
    return this.instance(id);
  }

  untilReady(...ids: string[]): Promise<InstanceStatus[]> {
    return Promise.all(ids.map((id) => this.until(id, { state: 'running', health: 'ready' })));
  }

  /** By the process's own account. */
  async startsOf(id: string): Promise<number> {
    const file = join(this.root, id, 'starts');
    return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').length : 0;
  }

  /** What the daemon keeps of an instance for the next one. */
  kept(id: string): string {
    const file = join(this.root, 'run', `${id}.state.json`);
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  /** Every status of an instance that was told, in order. */
  told(id: string): readonly InstanceStatus[] {
    return this.#events.filter((each) => each.id === id);
  }

  /** When its processes began and when they listened, by their own account: milliseconds since the epoch, by pid. */
  stamps(id: string, what: 'starts' | 'listening'): ReadonlyMap<number, number> {
    const file = join(this.root, id, what);
    const lines = existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
    return new Map(lines.map((line) => line.split(' ').map(Number) as [number, number]));
  }

  async pidOf(id: string): Promise<number> {
    const { pid } = await this.instance(id);
    if (pid === undefined) throw new Error(`${id} has no process`);
    return pid;
  }

  async pids(): Promise<Record<string, number | undefined>> {
    return Object.fromEntries((await this.status()).instances.map(({ id, pid }) => [id, pid]));
  }

  /** The living processes of an instance besides its leader. */
  async helpersOf(id: string) {
    const { pid } = await this.instance(id);
    return markedProcesses(this.root).filter((each) => each.instance === id && each.pid !== pid);
  }

  async kill(id: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<number> {
    const pid = await this.pidOf(id);
    this.note(`${signal} to ${id} (${pid})`);
    process.kill(pid, signal);
    return pid;
  }

  /** Tells a subject to fall ill. */
  async tell(id: string, behaviour: Behaviour): Promise<void> {
    const { endpoint = '' } = await this.instance(id);
    this.note(`${id} is told ${JSON.stringify(behaviour)}`);
    // One that dies of it does not answer.
    await fetch(endpoint, { method: 'POST', body: JSON.stringify(behaviour) }).catch(() => {});
  }

  /** What a subject says of itself. */
  async ask(id: string): Promise<Said> {
    const { endpoint = '' } = await this.instance(id);
    const response = await fetch(endpoint);
    return (await response.json()) as Said;
  }

  async killDaemon(known?: number): Promise<void> {
    const pid = known ?? (await this.status()).daemon.pid;
    this.note(`SIGKILL to the daemon (${pid})`);
    process.kill(pid, 'SIGKILL');
    await this.untilGone(pid);
    // Only now: what it had said before may be read while it dies.
    this.#daemons.delete(pid);
  }

  async untilGone(pid: number): Promise<void> {
    const { startTime } = look(pid) ?? {};
    if (startTime === undefined) return;
    await expect.poll(() => lives({ pid, startTime }), { timeout: patienceMs, interval: 10 }).toBe(false);
  }

  /** The whole output of an instance, archives and all, as its reader gives it. */
  linesOf(id: string): AsyncIterable<LogLine[]> {
    return readLogBatches(join(this.root, id, 'logs', 'output.log'));
  }

  /** What the daemon has logged so far, JSON by the line. */
  daemonLog(): string {
    const folder = join(this.root, 'logs');
    const names = readdirSync(folder).filter((name) => name.endsWith('.log'));
    return names.map((name) => readFileSync(join(folder, name), 'utf8')).join('\n');
  }

  /** Sends a job whose sampler takes so many steps; returns its id. */
  async submit(steps: number, seed: number): Promise<string> {
    const id = await this.client.submit({ type: 'comfyui', input: { prompt: samplerWorkflow(steps, seed) } });
    this.note(`job ${id} submitted`);
    return id;
  }

  async untilJob(id: string, state: string): Promise<void> {
    await expect
      .poll(async () => (await this.client.get(id)).state, { timeout: patienceMs, interval: 100 })
      .toBe(state);
  }

  /** How many pictures the engines have made. */
  pictures(): number {
    return [0, 1].flatMap((gpu) => {
      const folder = join(this.root, `comfyui_gpu${gpu}`, 'output');
      return existsSync(folder) ? readdirSync(folder).filter((name) => name.startsWith('sampled_')) : [];
    }).length;
  }

  async writeConfig(edit: (config: never) => object): Promise<void> {
    const { parse, stringify } = await import('yaml');
    const path = join(this.box.dir, 'mgpu.config.yaml');
    await writeFile(path, stringify(edit(parse(readFileSync(path, 'utf8')) as never)));
  }

  /** What must be true after every step, whatever the fault. */
  async expectInvariants(): Promise<void> {
    expect([...this.#violations, ...doubleRuns(this.root), ...orphans(this.root)]).toEqual([]);
    await this.#expectLinesWhole();
    const crashed = [...this.#daemons].filter(([pid, startTime]) => !lives({ pid, startTime }));
    expect(crashed, 'daemons that nobody ended').toEqual([]);
    if (this.#daemons.size === 0) return; // the scenario has ended it
    const status = await this.status();
    expect(status.instances.flatMap((each) => contradictions(each, this.#capMs))).toEqual([]);
    expect(sharedGpus(this.root, status.gpus)).toEqual([]);
    expect(residentMiB(status.daemon.pid), 'MiB of the daemon').toBeLessThan(mostMiB);
    await expect.poll(() => this.#differences(), { timeout: patienceMs }).toEqual([]);
  }

  /** Stops the machine, whether it has a daemon or not. */
  async expectGone(): Promise<void> {
    this.note('mgpu down');
    const instances = recordsOf(this.root).map(({ instance }) => instance);
    const { code, stderr } = await this.down();
    expect(code, stderr).toBe(instances.length === 0 && code === 3 ? 3 : 0);
    await this.#expectLinesWhole();
    await expect
      .poll(() => attempt(() => expectNothingLeft(this.root, this.#seen)), { timeout: patienceMs })
      .toBe('fine');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    await this.client.close();
    await this.#watching.catch(() => {}); // the client's end is theirs
    for (const cleanup of this.#cleanups.toReversed()) await cleanup();
    await this.box[Symbol.asyncDispose]();
    for (const { pid } of markedProcesses(this.root)) process.kill(pid, 'SIGKILL'); // of a scenario that failed
  }

  async #expectLinesWhole(): Promise<void> {
    for (const instance of speakersOf(this.root))
      await expectLinesWhole(this.root, instance, { mayLose: this.#mayLose.includes(instance) });
  }

  async #watchProcesses(): Promise<void> {
    while (!this.#ended.signal.aborted) {
      for (const each of markedProcesses(this.root)) {
        this.#seen.add(each.pid);
        await this.#expectWanted(each);
      }
      for (const each of doubleRuns(this.root)) this.#violations.add(each);
      await setTimeout(100);
    }
  }

  /** A run that began although its instance was not wanted any more. */
  async #expectWanted({ instance = '', run = '', startTime, command }: Found): Promise<void> {
    if (this.#seenRuns.has(run)) return;
    this.#seenRuns.add(run);
    if (startTime <= (this.#unwantedSince.get(instance) ?? Number.POSITIVE_INFINITY)) return;
    // It may be wanted again, and the event of that on its way; without a daemon nobody can tell.
    const { desired } = await this.instance(instance).catch(() => ({ desired: 'up' }));
    if (desired === 'down') this.#violations.add(`${instance} is not wanted, and started as run ${run}: ${command}`);
  }

  async #watchEvents(): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      try {
        for await (const { event, data } of this.client.events({ signal })) {
          if (event === 'snapshot') this.#meet(data);
          if (event === 'instance') this.#hear(data);
        }
      } catch {
        // no daemon, or not any more: the next one begins with a snapshot
      }
      await setTimeout(20);
    }
  }

  #meet({ daemon: { pid }, instances }: MachineStatus): void {
    // What happened while nobody listened is told by the snapshot alone: a daemon that starts many is long in answering.
    this.#events.push(...instances.filter((each) => facts(this.#told.get(each.id)) !== facts(each)));
    this.#told = new Map(instances.map((each) => [each.id, each]));
    this.#unwantedSince.clear();
    for (const each of instances) this.#noteWish(each);
    const startTime = look(pid)?.startTime;
    if (startTime !== undefined && lives({ pid, startTime })) this.#daemons.set(pid, startTime);
  }

  #hear(status: InstanceStatus): void {
    const { id, state, health, run, attempt: tries, reason } = status;
    const former = this.#told.get(id);
    const why = reason ? `: ${reason.message}` : '';
    if (former?.state !== state || former.health !== health)
      this.note(`${id} ${state} ${health}, attempt ${tries}${why}`);
    for (const each of [...contradictions(status, this.#capMs), ...miscounts(former, status)])
      this.#violations.add(each);
    this.#events.push(status);
    this.#noteWish(status);
    if (former?.run !== undefined && former.run !== run) this.#endedRuns.add(former.run);
    if (run !== undefined && this.#endedRuns.has(run))
      this.#violations.add(`${id}: an event of run ${run}, which is over`);
    this.#told.set(id, status);
  }

  #noteWish({ id, desired }: InstanceStatus): void {
    if (desired === 'up') this.#unwantedSince.delete(id);
    else if (!this.#unwantedSince.has(id)) this.#unwantedSince.set(id, ticksNow());
  }

  /** Between what the events told and what the status says. */
  async #differences(): Promise<string[]> {
    const { instances } = await this.status();
    return instances.flatMap((each) => {
      const told = facts(this.#told.get(each.id));
      return told === facts(each) ? [] : [`${each.id} is ${facts(each)}, told ${told}`];
    });
  }
}

/** What has to be the same however it is told. */
const facts = (status: InstanceStatus | undefined) =>
  status && JSON.stringify([status.state, status.health, status.run, status.attempt, status.desired]);

/** Resident memory that a daemon may never have, MiB. */
const mostMiB = 384;

/** Of a block `watchdog`: the longest of all its pauses, or the default. */
function longestPauseMs({ defaults = {}, policies = {} }: WatchdogBlock = {}): number {
  const pauses = [defaults, ...Object.values(policies)].map(({ backoff = {} }) => backoff);
  return Math.max(...pauses.map(({ capMs = 60_000, baseMs = 1_000 }) => Math.max(capMs, baseMs)));
}

interface WatchdogBlock {
  readonly defaults?: PolicyBlock;
  readonly policies?: Readonly<Record<string, PolicyBlock>>;
}

interface PolicyBlock {
  readonly backoff?: { readonly baseMs?: number; readonly capMs?: number };
}

function attempt(check: () => void): string {
  try {
    check();
    return 'fine';
  } catch (error) {
    return (error as Error).message;
  }
}
