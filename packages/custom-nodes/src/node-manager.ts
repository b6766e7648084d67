import { readFile } from 'node:fs/promises';
import { type Clock, type Logger, lockFolder, type MgpuError, silentLogger, systemClock } from '@mgpu/core';
import { Git } from '@mgpu/core/git';
import { circumstancesOf, interpreterOf, NodesApply, type Surroundings, type Workshop } from './apply-nodes.ts';
import { differencesFrom } from './compare-snapshot.ts';
import { NothingToRollBackError } from './errors.ts';
import { type InstalledNode, listNodes } from './list-nodes.ts';
import type { NodeList } from './node-list/read-list.ts';
import type { Snapshot } from './node-list/snapshot.ts';
import { emptyLock, type NodesLock } from './nodes-lock.ts';
import { PackPlaces } from './packs/pack-places.ts';
import { failureInputs, type Intent, type PlanningOptions, planNodes, withMemory } from './plan-nodes.ts';
import type { NodePlan, NodesPlan, NodesProgress, NodesReport } from './report.ts';
import type { NodeTarget } from './site.ts';
import { type Memory, StateFiles } from './state-files.ts';

export interface NodeManagerOptions {
  /** What Git and scripts inherit, and what `${VAR}` in an `.env` stands for. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Patterns of URLs that nodes may come from; `*` stands for anything. Default: any. */
  readonly allow?: readonly string[] | undefined;
  /** `asked`: those that the list asks for; `all`: each pack's install.py, too. Default `asked`. */
  readonly scripts?: 'asked' | 'all' | 'none' | undefined;
  /** Milliseconds that a script may take. Default 600,000. */
  readonly scriptTimeoutMs?: number | undefined;
  /** Repositories that are worked on at the same time. Default 4. */
  readonly concurrency?: number | undefined;
  /** How often in all something is tried that fails in a way that may pass. Default 3. */
  readonly attempts?: number | undefined;
  readonly clock?: Clock | undefined;
  readonly log?: Logger | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface PlanOptions {
  /** Brings nodes and packages to what this lock says (`true`: the one that is here), not to what is newest. Default false. */
  readonly locked?: boolean | NodesLock;
  /** Stashes edits, and keeps commits that nobody published on a branch, where they are in the way. Default false. */
  readonly force?: boolean;
  /** Removes nodes that an earlier apply brought and the list does not have any more. Default false. */
  readonly prune?: boolean;
  /** Tries again what failed and would fail again as far as is known. Default false. */
  readonly retry?: boolean;
  /** `missing`: nodes that are there and not pinned to a commit stay as they are. Default `all`. */
  readonly update?: 'missing' | 'all';
}

export interface ApplyOptions extends PlanOptions {
  readonly onProgress?: (progress: NodesProgress) => void;
}

/** Brings the custom nodes of one engine to what a list says. */
export class NodeManager {
  readonly #target: NodeTarget;
  readonly #options: NodeManagerOptions;
  readonly #files: StateFiles;

  constructor(target: NodeTarget, options: NodeManagerOptions) {
    this.#target = target;
    this.#options = options;
    this.#files = new StateFiles(target.state);
  }

  /** What an apply would do. Changes nothing; asks the repositories where their branches are. */
  async plan(list: NodeList, options: PlanOptions = {}): Promise<NodesPlan> {
    const { intents, about, shop } = await this.#prepare(list, options);
    const { packages, isSettled, warnings } = await new NodesApply(shop, intents, about).preview();
    return { nodes: intents.map(planOf), packages, isSettled, warnings: [...list.warnings, ...warnings] };
  }

  /**
   * Does it. A node that fails is as it was before and stops no other: the report says what became of each. Throws
   * `CORE_FOLDER_BUSY` while somebody else does so, and what concerns none of them alone (a full disk, a state file of a
   * newer mgpu). Called off by the signal or killed, the next apply goes on from there.
   */
  async apply(list: NodeList, { onProgress, ...options }: ApplyOptions = {}): Promise<NodesReport> {
    using _ = await lockFolder(this.#target.packs);
    const { intents, about, shop } = await this.#prepare(list, options, onProgress);
    return await new NodesApply(shop, intents, about).run();
  }

  /**
   * Takes back the last apply that changed something: nodes, packages and the lock are as before it; an `.env` and what
   * scripts did are not. Throws `NODES_NO_ROLLBACK`, and as `apply`.
   */
  async rollback({ onProgress }: Pick<ApplyOptions, 'onProgress'> = {}): Promise<NodesReport> {
    using _ = await lockFolder(this.#target.packs);
    const previous = this.#files.readPrevious();
    if (!previous) throw new NothingToRollBackError({ state: this.#target.state });
    const entries = Object.entries(previous.lock?.nodes ?? {}).map(([name, { url, commit, enabled, recursive }]) => ({
      name,
      url,
      commit,
      enabled,
      recursive,
      requirements: false,
    }));
    const list = { entries, invalid: [], warnings: [] };
    const options = { prune: true, retry: true, keepsOrigin: true };
    const { intents, about, shop } = await this.#prepare(list, options, onProgress, this.#brought());
    return await new NodesApply(shop, intents, about).runBack(previous);
  }

  /** Everything that lies among the nodes, whoever put it there, by name. */
  list(): Promise<readonly InstalledNode[]> {
    return listNodes(new PackPlaces(this.#target.packs), this.#git(), this.lock());
  }

  /** What the last apply made of the list; undefined before the first. Throws `CORE_FILE_INVALID`, `CORE_FILE_VERSION`. */
  lock(): NodesLock | undefined {
    return this.#files.readLock();
  }

  /** What of a snapshot is not so here, one sentence each; packs that apply can bring are among it until they are applied. */
  differences(snapshot: Snapshot): Promise<readonly string[]> {
    return this.list().then((nodes) => differencesFrom(snapshot, { nodes, target: this.#target, git: this.#git() }));
  }

  /** The lock with what an apply brought that did not come to its end: that is to be taken back as well. */
  #brought(): NodesLock {
    const lock = this.#files.readLock() ?? emptyLock;
    const begun = Object.entries(this.#files.readMemory().pending ?? {}).filter(([, former]) => former === null);
    const node = { url: '', commit: '0'.repeat(40), enabled: true, recursive: false, requirements: null };
    return { ...lock, nodes: { ...Object.fromEntries(begun.map(([name]) => [name, node])), ...lock.nodes } };
  }

  async #prepare(
    list: NodeList,
    {
      locked = false,
      force = false,
      prune = false,
      retry = false,
      update = 'all',
      keepsOrigin = false,
    }: PlanOptions & Partial<Pick<PlanningOptions, 'keepsOrigin'>>,
    onProgress: (progress: NodesProgress) => void = () => {},
    lock: NodesLock = this.#files.readLock() ?? emptyLock,
  ) {
    const shop = this.#workshop(onProgress);
    const memory: Memory = this.#files.readMemory();
    onProgress({ step: 'look', message: `looking at ${list.entries.length} nodes` });
    const { allow } = this.#options;
    const followed = locked === true ? lock : locked || undefined;
    const options = { locked: followed, force, prune, update, keepsOrigin };
    const { git, places, concurrency, retry: retries } = shop;
    const [planned, surroundings] = await Promise.all([
      planNodes(list, { ...options, git, places, lock, memory, allow, concurrency, retry: retries }),
      this.#surroundings(shop, followed?.packages ?? {}),
    ]);
    const circumstances = surroundings && circumstancesOf(surroundings, shop.scripts);
    const recall = (intent: Intent) => withMemory(intent, failureInputs(planned, intent, circumstances), memory);
    const intents = retry ? planned : planned.map(recall);
    return {
      shop,
      intents,
      about: { memory, lock, keepsLock: locked === true, warnings: list.warnings, surroundings },
    };
  }

  async #surroundings({ python }: Workshop, pins: Readonly<Record<string, string>>): Promise<Surroundings | undefined> {
    if (!python) return undefined;
    const files = this.#target.engineRequirements ?? [];
    const [installed, interpreter, ...engineFiles] = await Promise.all([
      python.installed(),
      interpreterOf(python),
      ...files.map((file) => readFile(file, 'utf8')),
    ]);
    return { installed, interpreter, engineFiles, pins };
  }

  #git(signal = this.#options.signal): Git {
    return new Git({ env: this.#options.env, signal });
  }

  #workshop(onProgress: (progress: NodesProgress) => void): Workshop {
    const { clock = systemClock, log = silentLogger, signal, attempts = 3, concurrency = 4, env } = this.#options;
    const { scripts = 'asked', scriptTimeoutMs = 600_000 } = this.#options;
    const onRetry = (error: MgpuError, waitMs: number) =>
      log.info(`trying again in ${Math.round(waitMs)} ms: ${error.message}`);
    return {
      target: this.#target,
      files: this.#files,
      places: new PackPlaces(this.#target.packs),
      env,
      git: this.#git(),
      undisturbedGit: new Git({ env }),
      python: this.#target.python?.with({ signal }),
      scripts,
      scriptTimeoutMs,
      concurrency,
      retry: { attempts, clock, signal, onRetry },
      clock,
      log,
      onProgress,
      signal,
    };
  }
}

function planOf({ name, action, url, from, to, blocked, isRemembered, notes }: Intent): NodePlan {
  return {
    name,
    action,
    notes,
    ...(url === undefined ? {} : { url }),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    ...(blocked ? { blocked } : {}),
    ...(isRemembered ? { isRemembered } : {}),
  };
}
