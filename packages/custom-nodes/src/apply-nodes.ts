import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Clock,
  deadline,
  forEachBounded,
  type Logger,
  type MgpuError,
  type RetryOptions,
  reportError,
  retrying,
  streamCommand,
  toMgpuError,
} from '@mgpu/core';
import { type Git, GitInTheWayError } from '@mgpu/core/git';
import type { PackageChange, PythonEnvironment } from '@mgpu/core/python';
import { digest } from './canonical.ts';
import { EditedError, ProtectedChangedError, ScriptFailedError } from './errors.ts';
import { byInstallOrder, isEnabled, type NodeEntry } from './node-list/entry.ts';
import { emptyLock, type LockedNode, type NodesLock } from './nodes-lock.ts';
import { plainUrl } from './packs/allowed-url.ts';
import { renderEnv, writeEnvFile } from './packs/env-file.ts';
import type { PackPlaces } from './packs/pack-places.ts';
import { readInside, UnreadableInside } from './packs/read-inside.ts';
import { failureInputs, type Intent } from './plan-nodes.ts';
import { type NodeResult, type NodesPlan, type NodesProgress, type NodesReport, reportOf } from './report.ts';
import { packagesNeeded } from './requirements/closure.ts';
import { constraintsOf, isProtected, protectedChanges } from './requirements/constraints.ts';
import { type PackRequirements, readPackRequirements } from './requirements/pack-requirements.ts';
import { isAboutRequirements, Resolver } from './requirements/resolver.ts';
import type { NodeTarget } from './site.ts';
import type { Memory, Previous, StateFiles } from './state-files.ts';

export interface Workshop {
  readonly target: NodeTarget;
  readonly files: StateFiles;
  readonly places: PackPlaces;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly git: Git;
  /** For putting things back when everything else is called off. */
  readonly undisturbedGit: Git;
  readonly python: PythonEnvironment | undefined;
  readonly scripts: 'asked' | 'all' | 'none';
  readonly scriptTimeoutMs: number;
  readonly concurrency: number;
  readonly retry: RetryOptions;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onProgress: (progress: NodesProgress) => void;
  readonly signal: AbortSignal | undefined;
}

/** What is known of the Python environment, and of what binds the nodes in it. */
export interface Surroundings {
  readonly installed: ReadonlyMap<string, string>;
  readonly engineFiles: readonly string[];
  /** Which interpreter it is. */
  readonly interpreter: string;
  readonly pins: Readonly<Record<string, string>>;
}

/** One node, while it is worked on. */
interface Work {
  readonly intent: Intent;
  /** Where it lies; undefined: nowhere. */
  dir: string | undefined;
  commit: string | undefined;
  isEnabled: boolean;
  isChanged: boolean;
  error: MgpuError | undefined;
  readonly notes: string[];
  requirements: PackRequirements | undefined;
  /** Its `.env` before we touched it. */
  formerEnv: string | undefined;
}

/** Codes of failures that follow from the inputs alone: tried again they would come again. */
const lasting = new Set([
  'CORE_PACKAGES_FAILED',
  'NODES_CONFLICT',
  'NODES_PROTECTED',
  'NODES_PROTECTED_CHANGED',
  'NODES_REQUIREMENTS_INVALID',
  'NODES_SCRIPT_FAILED',
]);

const isLasting = ({ code, retryable }: MgpuError) => lasting.has(code) && !retryable;

/** What is meant by a failure in memory: whether it followed from this node alone. */
const isOwnFault = (code: string) => code === 'NODES_SCRIPT_FAILED' || code === 'NODES_REQUIREMENTS_INVALID';

/** Carries a plan out. One failing node stops no other; what failed is as it was before. */
export class NodesApply {
  readonly #shop: Workshop;
  readonly #works: readonly Work[];
  readonly #keepsLock: boolean;
  readonly #lock: NodesLock;
  readonly #memory: Memory;
  readonly #warnings: string[];
  #surroundings: Surroundings | undefined;
  #packages: PackageChange[] = [];
  #requirementsKey: string | undefined;
  #hasBegun = false;
  #isRollback = false;

  constructor(
    shop: Workshop,
    intents: readonly Intent[],
    about: {
      memory: Memory;
      lock: NodesLock;
      /** The lock is what is followed: it stays as it is. */
      keepsLock: boolean;
      warnings: readonly string[];
      surroundings: Surroundings | undefined;
    },
  ) {
    this.#shop = shop;
    this.#works = intents.map(workOn);
    this.#memory = about.memory;
    this.#lock = about.lock;
    this.#keepsLock = about.keepsLock;
    this.#warnings = [...about.warnings];
    this.#surroundings = about.surroundings;
    this.#requirementsKey = about.memory.requirements;
  }

  async run(): Promise<NodesReport> {
    const previous = this.#shop.files.readPrevious();
    await using stack = new AsyncDisposableStack();
    stack.defer(() => this.#shop.places.clearStaging());
    await this.#bringAll();
    await this.#readAllRequirements();
    const resolver = await this.#install(stack);
    await this.#place();
    await this.#writeEnvFiles();
    if (await this.#runScripts(resolver, stack)) await this.#install(stack);
    await this.#remember();
    await this.#writeLock();
    if (this.#hasBegun && !this.#works.some(({ isChanged }) => isChanged) && this.#packages.length === 0) {
      // Nothing came of it: what could be gone back to before still can.
      if (previous) await this.#shop.files.writePrevious(previous);
      else await this.#shop.files.dropPrevious();
    }
    return this.#report();
  }

  /** Goes back: nodes as planned, packages as they were. */
  async runBack({ packages, lock }: Previous): Promise<NodesReport> {
    this.#isRollback = true;
    await using stack = new AsyncDisposableStack();
    stack.defer(() => this.#shop.places.clearStaging());
    await this.#bringAll();
    await this.#place();
    await this.#revert(packages);
    this.#requirementsKey = undefined;
    await this.#remember();
    const { files } = this.#shop;
    if (this.#works.every(({ error }) => error === undefined)) {
      await files.writeLock(lock);
      await files.dropPrevious();
    }
    return this.#report();
  }

  /** What would change among the packages, and whether anything would at all. Changes nothing. */
  async preview(): Promise<Pick<NodesPlan, 'packages' | 'isSettled'> & { readonly warnings: readonly string[] }> {
    const warnings: string[] = [];
    const isMoving = this.#works.some(({ intent, error }) => intent.action !== 'none' && !error);
    const isFetching = this.#works.some(
      ({ intent, error }) => ['clone', 'update', 'switch'].includes(intent.action) && !error,
    );
    if (isFetching) return { packages: undefined, isSettled: false, warnings };
    for (const work of this.#works) {
      try {
        work.requirements = await this.#requirementsOf(work);
      } catch (error) {
        warnings.push(reportError(error).message);
      }
    }
    const isSettled = !isMoving && !(await this.#isFurtherWork());
    const { python } = this.#shop;
    const around = this.#surroundings;
    const packs = this.#packs();
    if (!python || !around || this.#isInstalled(packs, around)) return { packages: [], isSettled, warnings };
    await using resolver = await Resolver.open(
      python,
      constraintsOf(around.installed, around.engineFiles, around.pins),
    );
    try {
      return { packages: await resolver.resolve(packs), isSettled: false, warnings };
    } catch (error) {
      this.#shop.signal?.throwIfAborted();
      if (!isAboutRequirements(error)) throw error;
      return { packages: undefined, isSettled: false, warnings: [...warnings, error.message] };
    }
  }

  /** Whether a script is to be run, or an `.env` to be written. */
  async #isFurtherWork(): Promise<boolean> {
    for (const work of this.#working()) {
      const { entry, name } = work.intent;
      const dir = work.dir as string;
      if (entry?.env) {
        const there = await readInside(dir, '.env').catch(() => undefined);
        if (there !== renderEnv(entry.env, this.#shop.env).text) return true;
      }
      const scripts = await this.#scriptsOf(work).catch(() => undefined);
      if (!scripts) return true;
      if (scripts.length > 0 && this.#memory.scripts[name] !== digest([work.commit, scripts])) return true;
    }
    return false;
  }

  #report(): NodesReport {
    const { log } = this.#shop;
    const results = this.#works.map(resultOf);
    for (const { name, error, isRemembered } of results)
      if (error)
        log.warn(`custom node ${name} failed: ${error.message}`, { error, ...(isRemembered ? { isRemembered } : {}) });
    return reportOf(results, { packages: this.#packages, warnings: this.#warnings });
  }

  // ---- nodes -------------------------------------------------------------------------------------------------------

  async #bringAll(): Promise<void> {
    const { places, concurrency } = this.#shop;
    await places.clearStaging();
    const moving = this.#works.filter(({ intent, error }) => intent.action !== 'none' && !error);
    if (moving.length > 0) await this.#begin();
    await forEachBounded(moving, concurrency, (work) => this.#bring(work));
  }

  /** Writes down what everything was, before the first of it changes. */
  async #begin(): Promise<void> {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    const { files } = this.#shop;
    const formers = this.#works.flatMap(({ intent, error }) =>
      intent.action === 'none' || error ? [] : [[intent.name, former(intent)] as const],
    );
    // What an apply left that did not come to its end had its own beginning: that is what counts.
    if (this.#memory.pending === undefined && !this.#isRollback) {
      await files.writePrevious({ lock: files.readLock() ?? null, packages: [] });
    }
    await files.writeMemory({ ...this.#memory, pending: { ...Object.fromEntries(formers), ...this.#memory.pending } });
  }

  async #bring(work: Work): Promise<void> {
    const { intent } = work;
    const { places, retry, git, onProgress } = this.#shop;
    const { name, action, source, url } = intent;
    try {
      if (action === 'clone' && source) {
        onProgress({ step: 'fetch', node: name, message: `cloning ${url}` });
        await places.makeStaging();
        const dir = places.staged(name);
        work.commit = await retrying(() => git.clone(source, dir), retry);
        work.dir = dir;
        work.isEnabled = true;
      } else if (action === 'remove' && work.dir) {
        await places.remove(work.dir, name);
        work.dir = undefined;
      } else if ((action === 'update' || action === 'switch') && work.dir && source) {
        onProgress({ step: 'fetch', node: name, message: `fetching ${url}` });
        work.isChanged = true;
        await this.#update(work, work.dir);
      }
      const wanted = intent.entry ? isEnabled(intent.entry) : work.isEnabled;
      if (work.dir && action !== 'clone' && work.isEnabled !== wanted) await this.#move(work, work.dir, wanted);
      work.isChanged = true;
    } catch (error) {
      await this.#fail(work, error);
    }
  }

  async #move(work: Work, dir: string, isOn: boolean): Promise<void> {
    const to = this.#shop.places.of(work.intent.name, isOn);
    await this.#shop.places.move(dir, to);
    work.dir = to;
    work.isEnabled = isOn;
  }

  async #update(work: Work, dir: string): Promise<void> {
    const { git, retry } = this.#shop;
    const { source, entry, present, isForced, isUnfinished, name } = work.intent;
    if (!source || !present) return;
    const { edits, commit, isPublished } = present.checkout;
    // Of a Git that was killed.
    if (isUnfinished) await rm(join(dir, '.git', 'index.lock'), { force: true });
    if (entry?.env) {
      work.formerEnv = await readInside(dir, '.env').catch(() => undefined);
      if (edits.includes('.env')) await git.restore(dir, ['.env']);
    }
    if (isForced) {
      if (edits.some((path) => path !== '.env' || !entry?.env)) {
        await git.stash(dir, `mgpu: edits of ${name} at ${commit.slice(0, 12)}`);
        work.notes.push('its edits were put on the stash: git stash list');
      }
      if (!isPublished) {
        const branch = `mgpu-kept-${commit.slice(0, 12)}`;
        await git.keep(dir, branch);
        work.notes.push(`its own commit was kept on the branch ${branch}`);
      }
    }
    const checkOut = () => retrying(() => git.checkOut(dir, source, { force: isUnfinished }), retry);
    try {
      work.commit = await checkOut();
    } catch (error) {
      if (!(error instanceof GitInTheWayError)) throw error;
      const { files } = error.details as { files: readonly string[] };
      if (!entry?.env || files.some((file) => file !== '.env')) {
        throw new EditedError({ name, path: dir, edits: files, unpublished: undefined }, { cause: error });
      }
      await rm(join(dir, '.env')); // ours: it is written anew
      work.commit = await checkOut();
    }
  }

  /** Records a failure and makes of the node what it was. */
  async #fail(work: Work, error: unknown): Promise<void> {
    this.#shop.signal?.throwIfAborted();
    work.error = toMgpuError(error, work.intent.name);
    await this.#putBack(work).catch((problem: unknown) => {
      const { message } = reportError(problem);
      work.notes.push(`it could not be put back: ${message}`);
      this.#shop.log.error(`custom node ${work.intent.name} could not be put back`, { error: problem });
    });
  }

  async #putBack(work: Work): Promise<void> {
    const { places, undisturbedGit: git } = this.#shop;
    const { intent } = work;
    const { name, action } = intent;
    const isOurs = action !== 'none' || intent.isUnfinished;
    if (!isOurs) return;
    const was = intent.former;
    work.isChanged = false;
    if (was === null) {
      if (work.dir) await places.remove(work.dir, name);
      Object.assign(work, { dir: undefined, commit: undefined, requirements: undefined });
      return;
    }
    const { dir } = work;
    if (!dir) return;
    if (action === 'update' || action === 'switch' || work.commit !== was.commit) {
      const source = { url: was.url, ref: was.commit, recursive: was.recursive };
      work.commit = await git.checkOut(dir, source, { force: true });
      if (work.formerEnv !== undefined) await writeEnvFile(dir, work.formerEnv);
    }
    if (work.isEnabled !== was.enabled) await this.#move(work, dir, was.enabled);
  }

  /** New ones come to where the engine looks only when their packages are there. */
  async #place(): Promise<void> {
    const { places } = this.#shop;
    for (const work of this.#works) {
      const { name } = work.intent;
      if (work.dir !== places.staged(name)) continue;
      try {
        await this.#move(work, work.dir, true);
      } catch (error) {
        await this.#fail(work, error);
      }
    }
  }

  async #writeEnvFiles(): Promise<void> {
    const { env } = this.#shop;
    for (const work of this.#working()) {
      const { entry } = work.intent;
      if (!entry?.env || !work.dir) continue;
      const { text, missing } = renderEnv(entry.env, env);
      if (missing.length > 0) work.notes.push(`not set, and empty in its .env: ${missing.join(', ')}`);
      try {
        if (await writeEnvFile(work.dir, text)) work.isChanged = true;
      } catch (error) {
        await this.#fail(work, error);
      }
    }
  }

  /** Those of the list that are in their place and well. */
  #working(): Work[] {
    return this.#works
      .filter(
        ({ intent, dir, error, isEnabled: isOn }) => intent.entry && isEnabled(intent.entry) && dir && isOn && !error,
      )
      .sort((a, b) => byInstallOrder(a.intent.entry as NodeEntry, b.intent.entry as NodeEntry));
  }

  // ---- packages ----------------------------------------------------------------------------------------------------

  async #readAllRequirements(): Promise<void> {
    for (const work of this.#works) await this.#readRequirements(work);
  }

  /** What a node needs as it lies there; undefined for nothing, and for what is known to be impossible. */
  async #requirementsOf({ intent, dir, isEnabled: isOn, error, commit }: Work): Promise<PackRequirements | undefined> {
    const { entry, name, action } = intent;
    if (!dir || !isOn || !entry || !isEnabled(entry) || entry.requirements === false) return undefined;
    // What an older commit of it needs is needed still.
    const isRefused = error && isLasting(error) && error.code !== 'NODES_SCRIPT_FAILED';
    if (isRefused && (action === 'none' || intent.to === commit)) return undefined;
    return readPackRequirements(name, dir);
  }

  async #readRequirements(work: Work): Promise<void> {
    work.requirements = undefined;
    try {
      work.requirements = await this.#requirementsOf(work);
      if (!work.error) work.notes.push(...(work.requirements?.warnings ?? []));
    } catch (error) {
      if (work.error) work.notes.push(reportError(error).message);
      else {
        await this.#fail(work, error);
        if (work.dir) await this.#readRequirements(work);
      }
    }
  }

  /** Packs with requirements: those that were there before come first, so that a new one is the one to blame. */
  #packs(): PackRequirements[] {
    const order = (work: Work) => (work.isChanged && !work.error ? 1 : 0);
    return this.#works
      .filter(({ requirements }) => requirements !== undefined)
      .sort((a, b) => order(a) - order(b) || byInstallOrder(a.intent.entry as NodeEntry, b.intent.entry as NodeEntry))
      .flatMap(({ requirements }) => requirements ?? []);
  }

  async #install(stack: AsyncDisposableStack): Promise<Resolver | undefined> {
    const { python, onProgress, retry } = this.#shop;
    const before = this.#surroundings;
    if (!python || !before) {
      for (const { requirements, notes } of this.#works)
        if (requirements?.text) notes.push('its requirements are not installed: no Python environment was given');
      return undefined;
    }
    const constraints = constraintsOf(before.installed, before.engineFiles, before.pins);
    let resolver: Resolver | undefined;
    for (;;) {
      const packs = this.#packs();
      const around = this.#surroundings ?? before;
      if (this.#isInstalled(packs, around)) return resolver;
      resolver ??= stack.use(await Resolver.open(python, constraints));
      const open = resolver;
      try {
        onProgress({ step: 'resolve', message: `resolving the requirements of ${packs.length} nodes` });
        const changes = await retrying(() => open.resolve(packs), retry);
        if (changes.length > 0 && !(await this.#carryOut(open, packs, changes, around))) continue;
        this.#requirementsKey = this.#keyOf(this.#packs());
        return resolver;
      } catch (error) {
        this.#shop.signal?.throwIfAborted();
        if (!isAboutRequirements(error)) throw error;
        if (error.retryable) return await this.#giveUpFor(error, open);
        await this.#blameOne(open, packs, error);
      }
    }
  }

  async #blameOne(resolver: Resolver, packs: readonly PackRequirements[], cause: MgpuError): Promise<void> {
    const { pack, error } = await resolver.findCulprit(packs, cause);
    await this.#blame(pack, error);
  }

  /** It is nobody's fault, and may pass: what is new cannot be had today, and what was there is left to itself. */
  async #giveUpFor(error: MgpuError, resolver: Resolver): Promise<Resolver> {
    const waiting = this.#works.filter((work) => work.requirements?.text && work.isChanged && !work.error);
    for (const work of waiting) await this.#fail(work, error);
    this.#warnings.push(`whether the requirements of the others are met was not looked into: ${error.message}`);
    return resolver;
  }

  async #blame(pack: string, error: MgpuError): Promise<void> {
    const work = this.#works.find(({ intent }) => intent.name === pack);
    if (!work) return;
    const before = work.requirements?.hash;
    await this.#fail(work, error);
    await this.#readRequirements(work);
    // The same once more would fail once more.
    if (work.requirements?.hash === before) work.requirements = undefined;
  }

  /** False when some of them failed: then it is to be asked again what is needed. */
  async #carryOut(
    resolver: Resolver,
    packs: readonly PackRequirements[],
    changes: readonly PackageChange[],
    around: Surroundings,
  ): Promise<boolean> {
    const { onProgress, retry } = this.#shop;
    onProgress({ step: 'install', message: `installing ${changes.map(showChange).join(', ')}` });
    await this.#noteChanges(changes);
    let areWell = true;
    try {
      await retrying(() => resolver.install(packs, changes), retry);
    } catch (error) {
      this.#shop.signal?.throwIfAborted();
      if (!isAboutRequirements(error) || error.retryable) throw error;
      areWell = await this.#installOneByOne(resolver, packs, error);
    }
    const broken = await this.#lookAgain(around);
    if (broken.length === 0) return areWell;
    const failure = await this.#restoreProtected(around, broken, 'the installation of their requirements');
    const changed = packs.filter(({ pack }) => this.#works.some((work) => work.intent.name === pack && work.isChanged));
    if (changed.length === 0) throw failure;
    for (const { pack } of changed) await this.#blame(pack, failure);
    return false;
  }

  /** Something of it cannot be built: whose it is shows when each is installed by itself. */
  async #installOneByOne(resolver: Resolver, packs: readonly PackRequirements[], cause: MgpuError): Promise<boolean> {
    if (packs.length === 1) {
      await this.#blame(packs[0]?.pack ?? '', cause);
      return false;
    }
    const well: PackRequirements[] = [];
    for (const pack of packs) {
      try {
        const changes = await resolver.resolve([...well, pack]);
        await resolver.install([...well, pack], changes);
        well.push(pack);
      } catch (error) {
        this.#shop.signal?.throwIfAborted();
        if (!isAboutRequirements(error) || error.retryable) throw error;
        await this.#blame(pack.pack, error);
      }
    }
    return well.length === packs.length;
  }

  /** For a rollback, before they happen. What a package was first is what counts. */
  async #noteChanges(changes: readonly PackageChange[]): Promise<void> {
    await this.#begin();
    const { files } = this.#shop;
    const previous = files.readPrevious() ?? { lock: null, packages: [] };
    const noted = new Set(previous.packages.map(({ name }) => name));
    const added = changes.filter(({ name }) => !noted.has(name));
    await files.writePrevious({ ...previous, packages: [...previous.packages, ...added] });
    this.#packages.push(...changes);
  }

  /** What became of the protected packages. */
  async #lookAgain(before: Surroundings): Promise<string[]> {
    const { python } = this.#shop;
    if (!python) return [];
    const installed = await python.installed();
    this.#surroundings = { ...before, installed };
    return protectedChanges(before.installed, installed);
  }

  async #restoreProtected(before: Surroundings, changes: readonly string[], by: string): Promise<MgpuError> {
    const { python } = this.#shop;
    const after = this.#surroundings?.installed;
    const lost = [...before.installed].filter(([name, version]) => isProtected(name) && after?.get(name) !== version);
    const restored = await python
      ?.install({ packages: lost.map((pair) => pair.join('==')) }, { dependencies: false })
      .then(
        () => true,
        (error: unknown) => {
          this.#shop.log.error('protected packages could not be put back', { error });
          return false;
        },
      );
    await this.#lookAgain(before);
    return new ProtectedChangedError({ changes, by, restored: restored === true });
  }

  #isInstalled(packs: readonly PackRequirements[], { installed, pins }: Surroundings): boolean {
    if (packs.every(({ text }) => text === '') && this.#memory.requirements === undefined) return true;
    const wanted = { ...this.#lock.packages, ...pins };
    const isThere = Object.entries(wanted).every(([name, version]) => installed.get(name) === version);
    return isThere && this.#requirementsKey === this.#keyOf(packs);
  }

  #keyOf(packs: readonly PackRequirements[]): string {
    const texts = packs.map(({ pack, text }) => [pack, text]).sort();
    return digest([this.#circumstances(), texts]);
  }

  #circumstances(): unknown {
    const around = this.#surroundings;
    return around && circumstancesOf(around, this.#shop.scripts);
  }

  async #revert(changes: readonly PackageChange[]): Promise<void> {
    const { python, onProgress } = this.#shop;
    if (!python || !this.#surroundings) return;
    const { installed } = this.#surroundings;
    const changed = changes.filter(({ name, from }) => installed.get(name) !== from && !isProtected(name));
    const back = changed.flatMap(({ name, from }) => (from === undefined ? [] : [`${name}==${from}`]));
    const gone = changed.flatMap(({ name, from }) => (from === undefined ? [name] : []));
    if (changed.length > 0)
      onProgress({ step: 'install', message: `taking back ${changed.map(showChange).join(', ')}` });
    if (back.length > 0) await python.install({ packages: back }, { dependencies: false });
    if (gone.length > 0) await python.uninstall(gone);
    this.#packages = changed.map(({ name, from }) => ({
      name,
      ...(installed.has(name) ? { from: installed.get(name) as string } : {}),
      ...(from === undefined ? {} : { to: from }),
    }));
    await this.#lookAgain(this.#surroundings);
  }

  // ---- scripts -----------------------------------------------------------------------------------------------------

  /** True when one failed, so that what is needed may be something else now. */
  async #runScripts(open: Resolver | undefined, stack: AsyncDisposableStack): Promise<boolean> {
    let resolver = open;
    let hasFailed = false;
    for (const work of this.#working()) {
      try {
        const scripts = await this.#scriptsOf(work);
        const key = digest([work.commit, scripts]);
        if (scripts.length === 0) delete this.#memory.scripts[work.intent.name];
        if (scripts.length === 0 || this.#memory.scripts[work.intent.name] === key) continue;
        const { python } = this.#shop;
        const around = this.#surroundings;
        if (python && around && !resolver) {
          const constraints = constraintsOf(around.installed, around.engineFiles, around.pins);
          resolver = stack.use(await Resolver.open(python, constraints));
        }
        for (const script of scripts) await this.#runScript(work, script, resolver?.constraintsFile);
        this.#memory.scripts[work.intent.name] = key;
        work.isChanged = true;
      } catch (error) {
        await this.#fail(work, error);
        await this.#readRequirements(work);
        hasFailed = true;
      }
    }
    return hasFailed;
  }

  /** What is to be run for a node: the pack's own script by its content, the list's by its text. */
  async #scriptsOf({ intent, dir, notes }: Work): Promise<Script[]> {
    const { scripts } = this.#shop;
    const { name, entry } = intent;
    if (!entry || !dir) return [];
    const isAsked = entry.install_script === true;
    if (scripts === 'none') {
      if (isAsked || entry.custom_script) notes.push('its scripts are not run: scripts are switched off');
      return [];
    }
    const found: Script[] = [];
    const refuse = (problem: string) => new ScriptFailedError({ name, script: 'install.py', problem, lastLines: [] });
    if (isAsked || scripts === 'all') {
      const text = await readInside(dir, 'install.py').catch((error: unknown) => {
        if (error instanceof UnreadableInside) throw refuse(error.message);
        throw error;
      });
      if (text !== undefined) {
        if (!this.#shop.python) throw refuse('no Python environment was given');
        found.push({ kind: 'install.py', content: createHash('sha256').update(text).digest('hex') });
      } else if (isAsked) throw refuse('there is none');
    }
    if (entry.custom_script) found.push({ kind: 'custom_script', content: entry.custom_script });
    return found;
  }

  async #runScript(work: Work, { kind, content }: Script, constraints: string | undefined): Promise<void> {
    const { python, signal, clock, scriptTimeoutMs, target, onProgress, env } = this.#shop;
    const { name } = work.intent;
    const before = this.#surroundings;
    onProgress({ step: 'script', node: name, message: `running the ${kind} of ${name}` });
    const tooLong = `it took longer than ${scriptTimeoutMs / 1_000} s`;
    using limit = deadline(clock, scriptTimeoutMs, () => new Error(tooLong), signal);
    const cwd = work.dir as string;
    const engine = target.engine === undefined ? {} : { COMFYUI_PATH: target.engine };
    const variables = { ...(python?.activated(constraints) ?? env), ...engine };
    const answer =
      kind === 'install.py' && python
        ? await python.run(['install.py'], { cwd, env: engine, constraints, signal: limit.signal })
        : await streamCommand('bash', ['-c', content], { env: variables, cwd, signal: limit.signal });
    signal?.throwIfAborted();
    const broken = before ? await this.#lookAgain(before) : [];
    if (before && broken.length > 0) throw await this.#restoreProtected(before, broken, `the ${kind} of ${name}`);
    if (answer.ok) return;
    const problem = limit.signal.aborted ? tooLong : (answer.problem ?? '');
    throw new ScriptFailedError({ name, script: kind, problem, lastLines: answer.lastLines.slice(-10) });
  }

  // ---- what is kept ------------------------------------------------------------------------------------------------

  async #remember(): Promise<void> {
    const { files } = this.#shop;
    const intents = this.#works.map(({ intent }) => intent);
    const failures: Memory['failures'] = {};
    for (const { intent, error } of this.#works) {
      if (!error || !isLasting(error) || !intent.entry) continue;
      const inputs = failureInputs(intents, intent, this.#circumstances());
      failures[intent.name] = {
        inputs: isOwnFault(error.code) ? inputs.script : inputs.requirements,
        report: reportError(error),
      };
    }
    // One that is blocked was not taken up again: what it was is still to be known.
    const unfinished = this.#works.flatMap(({ intent }) =>
      intent.blocked && intent.isUnfinished ? [[intent.name, former(intent)] as const] : [],
    );
    const names = new Set(this.#works.filter(({ dir }) => dir).map(({ intent }) => intent.name));
    const scripts = Object.entries(this.#memory.scripts).filter(([name]) => names.has(name));
    await files.writeMemory({
      ...(this.#requirementsKey === undefined ? {} : { requirements: this.#requirementsKey }),
      scripts: Object.fromEntries(scripts),
      failures,
      ...(unfinished.length > 0 ? { pending: Object.fromEntries(unfinished) } : {}),
    });
  }

  async #writeLock(): Promise<void> {
    if (this.#keepsLock) return;
    const { files, python } = this.#shop;
    const listed = new Map(this.#works.map((work) => [work.intent.name, work]));
    const nodes: Record<string, LockedNode> = {};
    for (const [name, locked] of Object.entries(this.#lock.nodes)) {
      const work = listed.get(name);
      if (!work || (work.dir && work.error)) nodes[name] = locked;
    }
    for (const work of this.#works) {
      const { intent, commit, dir, error, requirements } = work;
      if (!intent.entry || error || !dir || commit === undefined) continue;
      nodes[intent.name] = {
        url: plainUrl(intent.entry.url),
        commit,
        enabled: work.isEnabled,
        recursive: intent.entry.recursive ?? false,
        requirements: requirements?.hash ?? null,
      };
    }
    const isSame = this.#packages.length === 0 && this.#requirementsKey === this.#memory.requirements;
    const packages = isSame || !python ? this.#lock.packages : await packagesNeeded(python, this.#packs());
    const lock = { nodes, packages };
    if (digest(lock) === digest(emptyLock) && files.readLock() === undefined) return;
    await files.writeLock(lock);
  }
}

interface Script {
  readonly kind: 'install.py' | 'custom_script';
  readonly content: string;
}

const former = ({ former: was }: Intent) => was && { ...was, url: plainUrl(was.url) };

function workOn(intent: Intent): Work {
  return {
    intent,
    dir: intent.present?.dir,
    commit: intent.present?.checkout.commit,
    isEnabled: intent.present?.isEnabled ?? false,
    isChanged: false,
    error: intent.blocked,
    notes: [...intent.notes],
    requirements: undefined,
    formerEnv: undefined,
  };
}

function resultOf({ intent, commit, isChanged, error, notes }: Work): NodeResult {
  const { name, action, from, isRemembered } = intent;
  return {
    name,
    status: error ? 'failed' : isChanged ? 'done' : 'skipped',
    action,
    ...(from === undefined ? {} : { from }),
    ...(commit === undefined ? {} : { commit }),
    ...(error ? { error } : {}),
    ...(isRemembered ? { isRemembered } : {}),
    notes,
  };
}

const showChange = ({ name, from, to }: PackageChange) =>
  `${name} ${from === undefined ? '' : `${from} → `}${to ?? 'removed'}`;

/** What failures and successes with requirements follow from besides the nodes. */
export const circumstancesOf = (
  { installed, engineFiles, interpreter, pins }: Surroundings,
  scripts: string,
): unknown => [interpreter, constraintsOf(installed, engineFiles, pins).text, scripts];

/** Which Python an environment is of; its path and how it was made do not matter. */
export async function interpreterOf(python: PythonEnvironment): Promise<string> {
  const text = await readFile(join(python.dir, 'pyvenv.cfg'), 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter((line) => /^(home|version|version_info|implementation|include-system-site-packages)\s*=/.test(line))
    .sort()
    .join('\n');
}
