import type { PackageChange } from '@mgpu/core/python';
import { plainUrl } from '../packs/allowed-url.ts';
import type { Intent } from '../plan-nodes.ts';
import { lastingFailures } from '../remembered-failures.ts';
import type { Memory, Previous, StateFiles } from '../state-files.ts';
import type { NodeWork } from './node-work.ts';

/** Keeps on disk what an apply changes, so that it can be taken back, and what became of it, for the next one. */
export class ApplyRecord {
  readonly #files: StateFiles;
  readonly #memory: Memory;
  readonly #scripts: Map<string, string>;
  #hasBegun = false;

  constructor(files: StateFiles, memory: Memory) {
    this.#files = files;
    this.#memory = memory;
    this.#scripts = new Map(Object.entries(memory.scripts));
  }

  /** Writes down what these nodes were, before the first of them changes. A rollback leaves what it goes back to. */
  async begin(intents: readonly Intent[], { isRollback = false } = {}): Promise<void> {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    const { pending } = this.#memory;
    // What an apply left that did not come to its end had its own beginning: that is what counts.
    if (pending === undefined && !isRollback)
      await this.#files.writePrevious({ lock: this.#files.readLock() ?? null, packages: [] });
    const scripts = Object.fromEntries(this.#scripts);
    await this.#files.writeMemory({ ...this.#memory, scripts, pending: { ...formersOf(intents), ...pending } });
  }

  /** Packages that are about to change. What one was first is what counts. */
  async noteChanges(changes: readonly PackageChange[]): Promise<void> {
    await this.begin([]);
    const previous = this.#files.readPrevious() ?? { lock: null, packages: [] };
    const noted = new Set(previous.packages.map(({ name }) => name));
    const added = changes.filter(({ name }) => !noted.has(name));
    await this.#files.writePrevious({ ...previous, packages: [...previous.packages, ...added] });
  }

  /** What the scripts of a node were run for. */
  scriptsOf(name: string): string | undefined {
    return this.#scripts.get(name);
  }

  noteScripts(name: string, key: string | undefined): void {
    if (key === undefined) this.#scripts.delete(name);
    else this.#scripts.set(name, key);
  }

  /** Writes down what became of the nodes. */
  async finish(
    works: readonly NodeWork[],
    { requirements, circumstances }: { readonly requirements: string | undefined; readonly circumstances: unknown },
  ): Promise<void> {
    const there = new Set(works.filter(({ dir }) => dir).map(({ intent }) => intent.name));
    const intents = works.map(({ intent }) => intent);
    // One that is blocked was not taken up again: what it was is still to be known.
    const unfinished = intents.filter(({ blocked, isUnfinished }) => blocked && isUnfinished);
    await this.#files.writeMemory({
      ...(requirements === undefined ? {} : { requirements }),
      scripts: Object.fromEntries([...this.#scripts].filter(([name]) => there.has(name))),
      failures: lastingFailures(works, circumstances),
      ...(unfinished.length > 0 ? { pending: formersOf(unfinished) } : {}),
    });
  }

  /** When nothing came of it: what could be gone back to before still can. */
  async restorePrevious(previous: Previous | undefined): Promise<void> {
    if (!this.#hasBegun) return;
    if (previous) await this.#files.writePrevious(previous);
    else await this.#files.dropPrevious();
  }
}

const formersOf = (intents: readonly Intent[]): NonNullable<Memory['pending']> =>
  Object.fromEntries(intents.map(({ name, former }) => [name, former && { ...former, url: plainUrl(former.url) }]));
