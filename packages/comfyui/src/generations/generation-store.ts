import { readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { folderUsers, ignoreMissing, isFolderLocked, type Layout, LinkedFolders, lockFolder } from '@mgpu/core';
import { GenerationInUseError, GenerationUnknownError, NoGenerationError } from '../errors.ts';
import { type Generation, readGeneration } from './generation.ts';

/**
 * The generations below `<root>/engines/comfyui` and which of them is in force: `current` for all instances, `<instance>` for
 * one that is tried out. Both are symbolic links that change in one step.
 */
export class GenerationStore {
  /** `<root>/engines/comfyui`. */
  readonly dir: string;
  readonly #folders: LinkedFolders;

  constructor({ engines }: Pick<Layout, 'engines'>) {
    this.dir = join(engines, 'comfyui');
    this.#folders = new LinkedFolders({ dir: this.dir, family: 'generations', isId: /^\d{4,}-[0-9a-f]+$/ });
  }

  /** For whoever is going to change something. Throws `CORE_FOLDER_BUSY`. */
  lock(): Promise<Disposable> {
    return lockFolder(this.dir);
  }

  /** Those that are whole, the oldest first. */
  async list(): Promise<readonly Generation[]> {
    const names = await this.#folders.ids();
    return names.flatMap((name) => readGeneration(this.folder(name)) ?? []);
  }

  /** Folders of those that are not: being made, or interrupted. */
  async drafts(): Promise<readonly string[]> {
    const folders = (await this.#folders.ids()).map((name) => this.folder(name));
    return folders.filter((dir) => readGeneration(dir) === undefined);
  }

  folder(id: string): string {
    return this.#folders.folder(id);
  }

  /** Name for the next one; it is larger than all before. */
  async nextId(commit: string): Promise<string> {
    const last = Math.max(0, ...(await this.#folders.ids()).map((name) => Number.parseInt(name, 10)));
    return `${String(last + 1).padStart(4, '0')}-${commit.slice(0, 7)}`;
  }

  /** By its id, or by the beginning of it or its number when only one has that. Throws `COMFYUI_GENERATION_UNKNOWN`. */
  async find(id: string): Promise<Generation> {
    const all = await this.list();
    const isMeant = (each: Generation) => each.id.startsWith(id) || Number.parseInt(each.id, 10) === Number(id);
    const found = all.find((each) => each.id === id) ?? only(all.filter(isMeant));
    if (!found) throw new GenerationUnknownError({ id, known: all.map((each) => each.id) });
    return found;
  }

  /** Of an instance, or of all that try out none. What is tried counts as long as whoever tries it holds the lock. */
  async current(instance?: string): Promise<Generation | undefined> {
    const tried = instance === undefined ? undefined : await this.#folders.target(instance);
    const isTried = tried !== undefined && (await isFolderLocked(this.dir));
    const id = isTried ? tried : await this.#folders.target('current');
    return id === undefined ? undefined : readGeneration(this.folder(id));
  }

  /** As `current`. Throws `COMFYUI_NO_GENERATION` when there is none. */
  async expectCurrent(): Promise<Generation> {
    const current = await this.current();
    if (!current) throw new NoGenerationError({ dir: this.dir });
    return current;
  }

  /** Folder for downloaded packages. */
  get cache(): string {
    return join(this.dir, 'cache');
  }

  /** The one that was current before. */
  async previous(): Promise<Generation | undefined> {
    const id = await this.#folders.target('previous');
    return id === undefined ? undefined : readGeneration(this.folder(id));
  }

  /** Which one is tried by which instance, as long as whoever tries them holds the lock. */
  async tried(): Promise<ReadonlyMap<string, string>> {
    const trials = await this.#trials();
    return trials.size > 0 && (await isFolderLocked(this.dir)) ? trials : new Map();
  }

  async #trials(): Promise<ReadonlyMap<string, string>> {
    const entries = await readdir(this.dir, { withFileTypes: true }).catch(ignoreMissing);
    const names = (entries ?? []).filter((each) => each.isSymbolicLink() && isInstance(each.name));
    const targets = await Promise.all(names.map(async ({ name }) => [name, await this.#folders.target(name)] as const));
    return new Map(targets.flatMap(([name, id]) => (id === undefined ? [] : [[name, id]])));
  }

  /** From its next start on every instance runs this one. */
  async switch({ id }: Generation): Promise<void> {
    await this.#folders.switchTo(id);
    await this.untry();
  }

  /** From its next start on this instance runs this one, as long as the lock is held. */
  async try(instance: string, { id }: Generation): Promise<void> {
    await this.#folders.point(instance, id);
  }

  /** From its next start on this instance, or every one, runs the current one again. */
  async untry(instance?: string): Promise<void> {
    const names = instance === undefined ? [...(await this.#trials()).keys()] : [instance];
    await Promise.all(names.map((name) => rm(join(this.dir, name), { force: true })));
  }

  /** Throws `COMFYUI_GENERATION_IN_USE` for one that is current, tried out, or run by a process. */
  async remove(id: string): Promise<void> {
    const [current, tried] = [await this.#folders.target('current'), await this.tried()];
    const users = await folderUsers(this.folder(id));
    const pids = users.length > 0 ? ` by process ${users.join(', ')}` : '';
    if (id === current || pids || [...tried.values()].includes(id)) throw new GenerationInUseError({ id, by: pids });
    await this.#folders.remove(id);
  }

  /**
   * Removes all but the `keep` newest ones and those in use, and drafts that nobody makes at present. Returns the ids of what
   * was removed. Throws `CORE_FOLDER_BUSY`.
   */
  async prune(keep: number): Promise<readonly string[]> {
    using _ = await this.lock();
    await this.sweep();
    await this.untry(); // nobody tries any: we have the lock
    const old = (await this.list()).map(({ id }) => id).slice(0, -keep || undefined);
    const removed: string[] = [];
    for (const id of [...old, ...(await this.drafts()).map((dir) => basename(dir))]) {
      const isGone = await this.remove(id).then(
        () => true,
        (error: unknown) => {
          if (error instanceof GenerationInUseError) return false;
          throw error;
        },
      );
      if (isGone) removed.push(id);
    }
    return removed;
  }

  /** Removes what a removal that was interrupted has left. */
  sweep(): Promise<void> {
    return this.#folders.sweep();
  }
}

const only = <T>(all: readonly T[]): T | undefined => (all.length === 1 ? all[0] : undefined);
const isInstance = (name: string) => /^[a-z]/.test(name) && name !== 'current' && name !== 'previous';
