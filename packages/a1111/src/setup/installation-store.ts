import { join } from 'node:path';
import { folderUsers, type Layout, LinkedFolders, lockFolder } from '@mgpu/core';
import { type Installation, readManifest } from './installation.ts';

/** What is kept besides installations in use: the one in force, and one to go back to. */
const kept = 2;

const isId = /^[0-9a-f]{7}-[0-9a-f]{8}$/;

/**
 * The installations below `<root>/engines/a1111`; `current`, a link that changes in one step, is what instances start with,
 * `previous` what they started with before.
 */
export class InstallationStore {
  /** `<root>/engines/a1111`. */
  readonly dir: string;
  readonly #folders: LinkedFolders;

  constructor({ engines }: Pick<Layout, 'engines'>) {
    this.dir = join(engines, 'a1111');
    this.#folders = new LinkedFolders({ dir: this.dir, family: 'installations', isId });
  }

  /** Downloaded packages. */
  get cache(): string {
    return join(this.dir, 'cache');
  }

  /** For whoever is going to change something. Throws `CORE_FOLDER_BUSY`. */
  lock(): Promise<Disposable> {
    return lockFolder(this.dir);
  }

  folder(id: string): string {
    return this.#folders.folder(id);
  }

  /** Those that are whole, the oldest first. */
  async list(): Promise<readonly Installation[]> {
    const whole = (await this.#folders.ids()).flatMap((id) => this.#read(id) ?? []);
    return whole.toSorted((a, b) => (a.createdAt < b.createdAt ? -1 : 1));
  }

  async current(): Promise<Installation | undefined> {
    const id = await this.#folders.target('current');
    return id === undefined ? undefined : this.#read(id);
  }

  /** What starts from now on runs it; what runs is not touched. */
  async activate({ id }: Installation): Promise<void> {
    await this.#folders.switchTo(id);
  }

  /**
   * Removes installations that nobody needs, and those that were begun and are not gone on with. There stay the one in force, the
   * one before it (without it the newest), and what a process runs from. Returns the ids of what was removed. Throws
   * `CORE_FOLDER_BUSY`.
   */
  async prune(): Promise<readonly string[]> {
    using _ = await this.lock();
    await this.#folders.sweep();
    const inForce = [await this.#folders.target('current'), await this.#folders.target('previous')];
    const whole = (await this.list()).map(({ id }) => id);
    const stays = new Set([...inForce, ...whole.toReversed()].filter((id) => id !== undefined && whole.includes(id)));
    const needed = new Set([...stays].slice(0, kept));
    const removed: string[] = [];
    for (const id of await this.#folders.ids()) {
      if (needed.has(id) || (await folderUsers(this.folder(id))).length > 0) continue;
      await this.#folders.remove(id);
      removed.push(id);
    }
    return removed;
  }

  #read(id: string): Installation | undefined {
    const dir = this.folder(id);
    const manifest = readManifest(dir);
    return manifest && { ...manifest, id, dir };
  }
}
