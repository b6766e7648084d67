import { type Clock, type Logger, lockFolder, type MgpuError, silentLogger, systemClock } from '@mgpu/core';
import { Git } from '@mgpu/core/git';
import { NodesApply } from './apply/apply-nodes.ts';
import type { ApplyTools } from './apply/apply-tools.ts';
import { differencesFrom } from './compare-snapshot.ts';
import { NothingToRollBackError } from './errors.ts';
import { type InstalledNode, listNodes } from './list-nodes.ts';
import type { NodeList } from './node-list/read-list.ts';
import type { Snapshot } from './node-list/snapshot.ts';
import { emptyLock, type NodesLock } from './nodes-lock.ts';
import { PackPlaces } from './packs/pack-places.ts';
import { type Intent, type PlanningOptions, planNodes } from './plan-nodes.ts';
import { withFailures } from './remembered-failures.ts';
import type { NodePlan, NodesPlan, NodesProgress, NodesReport } from './report.ts';
import { circumstancesOf, readSurroundings } from './requirements/surroundings.ts';
import type { NodeTarget } from './site.ts';
import { StateFiles } from './state-files.ts';

export interface NodeManagerOptions {
  /** What Git and scripts inherit. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What `${VAR}` in an `.env` stands for. Default: `env`. */
  readonly variables?: Readonly<Record<string, string | undefined>> | undefined;
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
    const { intents, apply } = await this.#prepare(list, options);
    const { packages, isSettled, warnings } = await apply.preview();
    return { nodes: intents.map(planOf), packages, isSettled, warnings: [...list.warnings, ...warnings] };
  }

  /**
   * Does it. A node that fails is as it was before and stops no other: the report says what became of each. Throws
   * `CORE_FOLDER_BUSY` while somebody else does so, and what concerns none of them alone (a full disk, a state file of a
   * newer mgpu). Called off by the signal or killed, the next apply goes on from there.
   */
  async apply(list: NodeList, { onProgress, ...options }: ApplyOptions = {}): Promise<NodesReport> {
    using _ = await lockFolder(this.#target.packs);
    const { apply } = await this.#prepare(list, options, onProgress);
    return await apply.run();
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
    const { apply } = await this.#prepare(list, options, onProgress, this.#brought());
    return await apply.runBack(previous);
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
    const tools = this.#tools(onProgress);
    const memory = this.#files.readMemory();
    onProgress({ step: 'look', message: `looking at ${list.entries.length} nodes` });
    const { allow, signal } = this.#options;
    const followed = locked === true ? lock : locked || undefined;
    const options = { locked: followed, force, prune, update, keepsOrigin };
    const { git, places, concurrency, retry: retries } = tools;
    const { python, engineRequirements = [] } = this.#target;
    const [planned, surroundings] = await Promise.all([
      planNodes(list, { ...options, git, places, lock, memory, allow, concurrency, retry: retries }),
      python && readSurroundings(python.with({ signal }), engineRequirements, followed?.packages ?? {}),
    ]);
    const circumstances = surroundings && circumstancesOf(surroundings, tools.scripts);
    const intents = retry ? planned : withFailures(planned, memory, circumstances);
    const input = { memory, lock, keepsLock: locked === true, warnings: list.warnings, surroundings };
    return { intents, apply: new NodesApply(intents, input, tools) };
  }

  #git(): Git {
    const { env, signal } = this.#options;
    return new Git({ env, signal });
  }

  #tools(onProgress: (progress: NodesProgress) => void): ApplyTools {
    const { clock = systemClock, log = silentLogger, signal, attempts = 3, concurrency = 4, env } = this.#options;
    const { scripts = 'asked', scriptTimeoutMs = 600_000, variables = env } = this.#options;
    const onRetry = (error: MgpuError, waitMs: number) =>
      log.info(`trying again in ${Math.round(waitMs)} ms: ${error.message}`);
    return {
      engine: this.#target.engine,
      files: this.#files,
      places: new PackPlaces(this.#target.packs),
      env,
      variables,
      git: this.#git(),
      undisturbedGit: new Git({ env }),
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
