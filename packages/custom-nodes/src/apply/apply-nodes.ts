import { reportError } from '@mgpu/core';
import { digest } from '../canonical.ts';
import { emptyLock, type LockedNode, type NodesLock } from '../nodes-lock.ts';
import { plainUrl } from '../packs/allowed-url.ts';
import type { Intent } from '../plan-nodes.ts';
import { type NodesPlan, type NodesReport, reportOf, resultOf } from '../report.ts';
import { packagesNeeded } from '../requirements/closure.ts';
import { isAboutRequirements } from '../requirements/resolver.ts';
import type { Surroundings } from '../requirements/surroundings.ts';
import type { Memory, Previous } from '../state-files.ts';
import { ApplyRecord } from './apply-record.ts';
import type { ApplyTools } from './apply-tools.ts';
import { EnginePackages } from './engine-packages.ts';
import { RequirementsInstaller } from './install-requirements.ts';
import { PackMover } from './move-packs.ts';
import { inPlace, isToMove, type NodeWork, workOn } from './node-work.ts';
import { ScriptRunner } from './run-scripts.ts';

/** What an apply goes by, besides the plan. */
export interface ApplyInput {
  readonly memory: Memory;
  readonly lock: NodesLock;
  /** The lock is what is followed: it stays as it is. */
  readonly keepsLock: boolean;
  readonly warnings: readonly string[];
  /** Without it nothing is installed. */
  readonly surroundings: Surroundings | undefined;
}

/** Carries a plan out. One failing node stops no other; what failed is as it was before. */
export class NodesApply {
  readonly #works: readonly NodeWork[];
  readonly #input: ApplyInput;
  readonly #tools: ApplyTools;
  readonly #record: ApplyRecord;
  readonly #packages: EnginePackages | undefined;
  readonly #mover: PackMover;
  readonly #requirements: RequirementsInstaller;
  readonly #scripts: ScriptRunner;

  constructor(intents: readonly Intent[], input: ApplyInput, tools: ApplyTools) {
    const { memory, lock, surroundings } = input;
    this.#works = intents.map(workOn);
    this.#input = input;
    this.#tools = tools;
    this.#record = new ApplyRecord(tools.files, memory);
    this.#packages = surroundings && new EnginePackages(surroundings, this.#record, tools);
    this.#mover = new PackMover(tools);
    const last = { key: memory.requirements, versions: lock.packages };
    this.#requirements = new RequirementsInstaller(this.#works, this.#mover, this.#packages, last, tools);
    this.#scripts = new ScriptRunner(this.#record, this.#packages, tools);
  }

  async run(): Promise<NodesReport> {
    const { files, places } = this.#tools;
    const previous = files.readPrevious();
    await using stack = new AsyncDisposableStack();
    stack.defer(() => places.clearStaging());
    stack.use(this.#packages);
    await this.#bringAll({ isRollback: false });
    await this.#requirements.lookAtAll();
    await this.#requirements.install();
    // New ones come to where the engine looks only when their packages are there.
    await this.#mover.placeAll(this.#works);
    await this.#mover.writeEnvFiles(this.#works);
    if (await this.#runScripts()) await this.#requirements.install();
    await this.#remember(this.#requirements.key);
    await this.#writeLock();
    if (!this.#works.some(({ isChanged }) => isChanged) && this.#changes.length === 0)
      await this.#record.restorePrevious(previous);
    return this.#report();
  }

  /** Goes back: nodes as planned, packages as they were. */
  async runBack({ packages, lock }: Previous): Promise<NodesReport> {
    const { files, places } = this.#tools;
    await using stack = new AsyncDisposableStack();
    stack.defer(() => places.clearStaging());
    await this.#bringAll({ isRollback: true });
    await this.#mover.placeAll(this.#works);
    await this.#packages?.revert(packages);
    await this.#remember(undefined);
    if (this.#works.every(({ error }) => error === undefined)) {
      await files.writeLock(lock);
      await files.dropPrevious();
    }
    return this.#report();
  }

  /** What would change among the packages, and whether anything would at all. Changes nothing. */
  async preview(): Promise<Pick<NodesPlan, 'packages' | 'isSettled' | 'warnings'>> {
    const warnings: string[] = [];
    const moving = this.#works.filter(isToMove);
    const isFetching = moving.some(({ intent }) => ['clone', 'update', 'switch'].includes(intent.action));
    if (isFetching) return { packages: undefined, isSettled: false, warnings };
    for (const work of this.#works)
      await this.#requirements.look(work).catch((error: unknown) => warnings.push(reportError(error).message));
    const isSettled = moving.length === 0 && this.#requirements.isInstalled() && !(await this.#isFurtherWork());
    await using _ = this.#packages;
    try {
      return { packages: await this.#requirements.plan(), isSettled, warnings };
    } catch (error) {
      this.#tools.signal?.throwIfAborted();
      if (!isAboutRequirements(error)) throw error;
      return { packages: undefined, isSettled, warnings: [...warnings, error.message] };
    }
  }

  /** Whether a script is to be run, or an `.env` to be written. */
  async #isFurtherWork(): Promise<boolean> {
    for (const work of inPlace(this.#works))
      if (!(await this.#mover.hasEnvFile(work)) || (await this.#scripts.isDue(work))) return true;
    return false;
  }

  async #bringAll({ isRollback }: { readonly isRollback: boolean }): Promise<void> {
    await this.#tools.places.clearStaging();
    const moving = this.#works.filter(isToMove);
    const intents = moving.map(({ intent }) => intent);
    if (moving.length > 0) await this.#record.begin(intents, { isRollback });
    await this.#mover.bringAll(moving);
  }

  /** True when one failed, so that what is needed may be something else now. */
  async #runScripts(): Promise<boolean> {
    let hasFailed = false;
    for (const work of inPlace(this.#works)) {
      try {
        await this.#scripts.run(work);
      } catch (error) {
        await this.#requirements.fail(work, error);
        hasFailed = true;
      }
    }
    return hasFailed;
  }

  get #changes() {
    return this.#packages?.changes ?? [];
  }

  /** `requirements`: the key of what is installed. */
  #remember(requirements: string | undefined): Promise<void> {
    return this.#record.finish(this.#works, { requirements, circumstances: this.#packages?.circumstances });
  }

  async #writeLock(): Promise<void> {
    const { keepsLock, lock: before, memory } = this.#input;
    if (keepsLock) return;
    const isSame = this.#changes.length === 0 && this.#requirements.key === memory.requirements;
    const packages =
      isSame || !this.#packages
        ? before.packages
        : await packagesNeeded(this.#packages.python, this.#requirements.packs());
    const lock = { nodes: this.#lockedNodes(before), packages };
    if (digest(lock) === digest(emptyLock) && this.#tools.files.readLock() === undefined) return;
    await this.#tools.files.writeLock(lock);
  }

  #lockedNodes(before: NodesLock): NodesLock['nodes'] {
    const listed = new Map(this.#works.map((work) => [work.intent.name, work]));
    const nodes: Record<string, LockedNode> = {};
    for (const [name, locked] of Object.entries(before.nodes)) {
      const work = listed.get(name);
      if (!work || (work.dir && work.error)) nodes[name] = locked;
    }
    for (const work of this.#works) {
      const { intent, commit, dir, error } = work;
      if (!intent.entry || error || !dir || commit === undefined) continue;
      nodes[intent.name] = {
        url: plainUrl(intent.entry.url),
        commit,
        enabled: work.isEnabled,
        recursive: intent.entry.recursive ?? false,
        requirements: this.#requirements.of(work)?.hash ?? null,
      };
    }
    return nodes;
  }

  #report(): NodesReport {
    const { log } = this.#tools;
    const results = this.#works.map((work) => resultOf(work.intent, work));
    for (const { name, error, isRemembered } of results)
      if (error)
        log.warn(`custom node ${name} failed: ${error.message}`, { error, ...(isRemembered ? { isRemembered } : {}) });
    const warnings = [...this.#input.warnings, ...this.#requirements.warnings];
    return reportOf(results, { packages: this.#changes, warnings });
  }
}
