import { type MgpuError, reportError, retrying } from '@mgpu/core';
import type { PackageChange } from '@mgpu/core/python';
import { digest } from '../canonical.ts';
import { byInstallOrder, isEnabled, type NodeEntry } from '../node-list/entry.ts';
import { isLasting } from '../remembered-failures.ts';
import { type PackRequirements, readPackRequirements } from '../requirements/pack-requirements.ts';
import { isAboutRequirements, type Resolver } from '../requirements/resolver.ts';
import type { ApplyTools } from './apply-tools.ts';
import type { EnginePackages } from './engine-packages.ts';
import type { PackMover } from './move-packs.ts';
import type { NodeWork } from './node-work.ts';

type Tools = Pick<ApplyTools, 'retry' | 'onProgress' | 'signal'>;

/** The last successful installation of an earlier apply. */
interface LastInstallation {
  readonly key: string | undefined;
  readonly versions: Readonly<Record<string, string>>;
}

/** Knows what each node needs, and installs what they need together; a node that cannot have it fails. */
export class RequirementsInstaller {
  readonly #works: readonly NodeWork[];
  readonly #mover: PackMover;
  readonly #packages: EnginePackages | undefined;
  readonly #last: LastInstallation;
  readonly #tools: Tools;
  readonly #needs = new Map<NodeWork, PackRequirements>();
  readonly #warnings: string[] = [];
  #key: string | undefined;

  /** Without `packages` nothing is installed. */
  constructor(
    works: readonly NodeWork[],
    mover: PackMover,
    packages: EnginePackages | undefined,
    last: LastInstallation,
    tools: Tools,
  ) {
    this.#works = works;
    this.#mover = mover;
    this.#packages = packages;
    this.#last = last;
    this.#key = last.key;
    this.#tools = tools;
  }

  /** What the last successful installation was made from. */
  get key(): string | undefined {
    return this.#key;
  }

  get warnings(): readonly string[] {
    return this.#warnings;
  }

  /** What a node needs, as it was last looked at; undefined for nothing, and for what is known to be impossible. */
  of(work: NodeWork): PackRequirements | undefined {
    return work.dir === undefined ? undefined : this.#needs.get(work);
  }

  /** Packs with requirements: those that were there before come first, so that a new one is the one to blame. */
  packs(): PackRequirements[] {
    const order = (work: NodeWork) => (work.isChanged && !work.error ? 1 : 0);
    return this.#works
      .filter((work) => this.of(work))
      .sort((a, b) => order(a) - order(b) || byInstallOrder(a.intent.entry as NodeEntry, b.intent.entry as NodeEntry))
      .flatMap((work) => this.of(work) ?? []);
  }

  /** Looks at what a node needs as it lies there. Throws `NODES_REQUIREMENTS_INVALID`. */
  async look(work: NodeWork): Promise<void> {
    this.#needs.delete(work);
    const { dir, intent } = work;
    const needed = dir !== undefined && isWanted(work) ? await readPackRequirements(intent.name, dir) : undefined;
    if (needed) this.#needs.set(work, needed);
  }

  /** Looks at all of them; those that cannot be used fail. */
  async lookAtAll(): Promise<void> {
    for (const work of this.#works) await this.#lookOrFail(work);
  }

  /** What it was before may need something else. */
  async fail(work: NodeWork, error: unknown): Promise<void> {
    await this.#mover.fail(work, error);
    await this.#lookOrFail(work);
  }

  isInstalled(): boolean {
    const packages = this.#packages;
    if (!packages) return true;
    if (this.#last.key === undefined && this.packs().every(({ text }) => text === '')) return true;
    return packages.has(this.#last.versions) && this.#key === this.#keyIn(packages);
  }

  /** What an installation would change. Throws as the resolver. */
  async plan(): Promise<readonly PackageChange[]> {
    if (!this.#packages || this.isInstalled()) return [];
    const resolver = await this.#packages.openResolver();
    return resolver.resolve(this.packs());
  }

  async install(): Promise<void> {
    const packages = this.#packages;
    const { onProgress, retry, signal } = this.#tools;
    if (!packages) {
      for (const work of this.#works)
        if (this.of(work)?.text) work.notes.push('its requirements are not installed: no Python environment was given');
      return;
    }
    let resolver: Resolver | undefined;
    while (!this.isInstalled()) {
      resolver ??= await packages.openResolver();
      const open = resolver;
      const packs = this.packs();
      try {
        onProgress({ step: 'resolve', message: `resolving the requirements of ${packs.length} nodes` });
        const changes = await retrying(() => open.resolve(packs), retry);
        if (changes.length > 0 && !(await this.#carryOut(packages, open, packs, changes))) continue;
        this.#key = this.#keyIn(packages);
        return;
      } catch (error) {
        signal?.throwIfAborted();
        if (!isAboutRequirements(error)) throw error;
        if (error.retryable) return await this.#giveUp(packages, error);
        const culprit = await open.findCulprit(packs, error);
        await this.#blame(culprit.pack, culprit.error);
      }
    }
  }

  async #lookOrFail(work: NodeWork): Promise<void> {
    try {
      await this.look(work);
      if (!work.error) work.notes.push(...(this.of(work)?.warnings ?? []));
    } catch (error) {
      if (work.error) work.notes.push(reportError(error).message);
      else await this.fail(work, error);
    }
  }

  #workOf(pack: string): NodeWork | undefined {
    return this.#works.find(({ intent }) => intent.name === pack);
  }

  #keyIn({ circumstances }: EnginePackages): string {
    const texts = this.packs().map(({ pack, text }) => [pack, text]);
    return digest([circumstances, texts.sort()]);
  }

  /** It is nobody's fault, and may pass: what is new cannot be had today, and what was there is left to itself. */
  async #giveUp(packages: EnginePackages, cause: MgpuError): Promise<void> {
    // Something may have been installed before.
    const error = (await packages.restoreProtected('the installation of their requirements')) ?? cause;
    const waiting = this.#works.filter((work) => this.of(work)?.text && work.isChanged && !work.error);
    for (const work of waiting) await this.#mover.fail(work, error);
    this.#warnings.push(`whether the requirements of the others are met was not looked into: ${error.message}`);
  }

  async #blame(pack: string, error: MgpuError): Promise<void> {
    const work = this.#workOf(pack);
    if (!work) return;
    const before = this.of(work)?.hash;
    await this.fail(work, error);
    // The same once more would fail once more.
    if (this.of(work)?.hash === before) this.#needs.delete(work);
  }

  /** False when some of them failed: then it is to be asked again what is needed. */
  async #carryOut(
    packages: EnginePackages,
    resolver: Resolver,
    packs: readonly PackRequirements[],
    changes: readonly PackageChange[],
  ): Promise<boolean> {
    let areWell = true;
    try {
      await packages.install(resolver, packs, changes);
    } catch (error) {
      areWell = await this.#installOneByOne(packages, resolver, packs, this.#faultIn(error));
    }
    const failure = await packages.restoreProtected('the installation of their requirements');
    if (!failure) return areWell;
    const changed = packs.filter(({ pack }) => this.#workOf(pack)?.isChanged);
    if (changed.length === 0) throw failure;
    for (const { pack } of changed) await this.#blame(pack, failure);
    return false;
  }

  /** Something of it cannot be built: whose it is shows when each is installed by itself. */
  async #installOneByOne(
    packages: EnginePackages,
    resolver: Resolver,
    packs: readonly PackRequirements[],
    cause: MgpuError,
  ): Promise<boolean> {
    if (packs.length === 1) {
      await this.#blame(packs[0]?.pack ?? '', cause);
      return false;
    }
    const well: PackRequirements[] = [];
    for (const pack of packs) {
      try {
        const changes = await resolver.resolve([...well, pack]);
        await packages.install(resolver, [...well, pack], changes);
        well.push(pack);
      } catch (error) {
        await this.#blame(pack.pack, this.#faultIn(error));
      }
    }
    return well.length === packs.length;
  }

  /** The failure, when it is some pack's fault; throws any other on. */
  #faultIn(error: unknown): MgpuError {
    this.#tools.signal?.throwIfAborted();
    if (!isAboutRequirements(error) || error.retryable) throw error;
    return error;
  }
}

function isWanted({ intent, isEnabled: isOn, error, commit }: NodeWork): boolean {
  const { entry, action, to } = intent;
  if (!isOn || !entry || !isEnabled(entry) || entry.requirements === false) return false;
  // What an older commit of it needs is needed still.
  const isRefused = error && isLasting(error) && error.code !== 'NODES_SCRIPT_FAILED';
  return !(isRefused && (action === 'none' || to === commit));
}
