import { type MgpuError, retrying } from '@mgpu/core';
import type { PackageChange, PythonEnvironment } from '@mgpu/core/python';
import { ProtectedChangedError } from '../errors.ts';
import { isProtected, protectedChanges, protectedLost } from '../requirements/constraints.ts';
import type { PackRequirements } from '../requirements/pack-requirements.ts';
import { Resolver } from '../requirements/resolver.ts';
import { circumstancesOf, constraintsIn, type Surroundings } from '../requirements/surroundings.ts';
import type { ApplyRecord } from './apply-record.ts';
import type { ApplyTools } from './apply-tools.ts';

type Tools = Pick<ApplyTools, 'scripts' | 'retry' | 'log' | 'onProgress'>;

/** The packages of the engine's Python environment during an apply: what is installed, what changed, what must not change. */
export class EnginePackages implements AsyncDisposable {
  readonly #record: ApplyRecord;
  readonly #tools: Tools;
  readonly #before: Surroundings['installed'];
  readonly #resolvers = new AsyncDisposableStack();
  #surroundings: Surroundings;
  #resolver: Resolver | undefined;

  constructor(surroundings: Surroundings, record: ApplyRecord, tools: Tools) {
    this.#before = surroundings.installed;
    this.#surroundings = surroundings;
    this.#record = record;
    this.#tools = tools;
  }

  get python(): PythonEnvironment {
    return this.#surroundings.python;
  }

  /** What has changed since the beginning, by whomever, as of the last look. By name. */
  get changes(): readonly PackageChange[] {
    const { installed } = this.#surroundings;
    const names = new Set([...this.#before.keys(), ...installed.keys()]);
    const changed = [...names].filter((name) => this.#before.get(name) !== installed.get(name));
    return changed.toSorted().map((name) => {
      const [from, to] = [this.#before.get(name), installed.get(name)];
      return { name, ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) };
    });
  }

  get circumstances(): unknown {
    return circumstancesOf(this.#surroundings, this.#tools.scripts);
  }

  /** Whether these packages have these versions, and of the pinned ones those that are there, which need not be all, theirs. */
  has(versions: Readonly<Record<string, string>>): boolean {
    const { installed, pins } = this.#surroundings;
    const there = Object.entries(pins).filter(([name]) => installed.has(name));
    const wanted = { ...versions, ...Object.fromEntries(there) };
    return Object.entries(wanted).every(([name, version]) => installed.get(name) === version);
  }

  /** Under what binds the nodes now; its files are there until this is disposed of. */
  async openResolver(): Promise<Resolver> {
    this.#resolver = this.#resolvers.use(await Resolver.open(this.python, constraintsIn(this.#surroundings)));
    return this.#resolver;
  }

  /** That of the last resolver: what scripts install is bound by it, too. */
  async constraintsFile(): Promise<string> {
    return (this.#resolver ?? (await this.openResolver())).constraintsFile;
  }

  /** Installs what the resolver answered, once it is on record. Throws as the resolver. */
  async install(
    resolver: Resolver,
    packs: readonly PackRequirements[],
    changes: readonly PackageChange[],
  ): Promise<void> {
    this.#tools.onProgress({ step: 'install', message: `installing ${changes.map(showChange).join(', ')}` });
    await this.#record.noteChanges(changes);
    await retrying(() => resolver.install(packs, changes), this.#tools.retry);
  }

  /** Looks at what something did, and puts back what it must not change; undefined when it did not. */
  async restoreProtected(by: string): Promise<MgpuError | undefined> {
    const before = this.#surroundings.installed;
    const after = await this.#look();
    const changes = protectedChanges(before, after);
    if (changes.length === 0) return undefined;
    const lost = protectedLost(before, after).map((pair) => pair.join('=='));
    const restored = await this.python.install({ packages: lost }, { dependencies: false }).then(
      () => true,
      (error: unknown) => {
        this.#tools.log.error('protected packages could not be put back', { error });
        return false;
      },
    );
    await this.#look();
    return new ProtectedChangedError({ changes, by, restored });
  }

  /** Makes of packages what they were before these changes; protected ones stay. */
  async revert(changes: readonly PackageChange[]): Promise<void> {
    const { installed } = this.#surroundings;
    const changed = changes.filter(({ name, from }) => installed.get(name) !== from && !isProtected(name));
    const back = changed.flatMap(({ name, from }) => (from === undefined ? [] : [`${name}==${from}`]));
    const gone = changed.flatMap(({ name, from }) => (from === undefined ? [name] : []));
    if (changed.length > 0) {
      const message = `taking back ${changed.map(showChange).join(', ')}`;
      this.#tools.onProgress({ step: 'install', message });
    }
    if (back.length > 0) await this.python.install({ packages: back }, { dependencies: false });
    if (gone.length > 0) await this.python.uninstall(gone);
    await this.#look();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resolvers.disposeAsync();
  }

  async #look(): Promise<ReadonlyMap<string, string>> {
    const installed = await this.python.installed();
    this.#surroundings = { ...this.#surroundings, installed };
    return installed;
  }
}

const showChange = ({ name, from, to }: PackageChange) =>
  `${name} ${from === undefined ? '' : `${from} → `}${to ?? 'removed'}`;
