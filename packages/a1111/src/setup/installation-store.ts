import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readlink, rename, rm, symlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { folderUsers, ignoreMissing, type Layout, lockFolder } from '@mgpu/core';
import { type Installation, readManifest } from './installation.ts';

/** What is kept besides installations in use: the one in force, and one to go back to. */
const kept = 2;

const idName = /^[0-9a-f]{7}-[0-9a-f]{8}$/;
const graveName = /^\.[0-9a-f]{7}-[0-9a-f]{8}\./;

/**
 * The installations below `<root>/engines/a1111`; `current`, a link that changes in one step, is what instances start with,
 * `previous` what they started with before.
 */
export class InstallationStore {
  /** `<root>/engines/a1111`. */
  readonly dir: string;

  constructor({ engines }: Pick<Layout, 'engines'>) {
    this.dir = join(engines, 'a1111');
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
    return join(this.dir, 'installations', id);
  }

  /** Those that are whole, the oldest first. */
  async list(): Promise<readonly Installation[]> {
    const whole = (await this.#names()).flatMap((id) => this.#read(id) ?? []);
    return whole.toSorted((a, b) => (a.createdAt < b.createdAt ? -1 : 1));
  }

  async current(): Promise<Installation | undefined> {
    const id = await this.#target('current');
    return id === undefined ? undefined : this.#read(id);
  }

  /** What starts from now on runs it; what runs is not touched. */
  async activate({ id }: Installation): Promise<void> {
    const former = await this.#target('current');
    if (former !== undefined && former !== id) await this.#point('previous', former);
    await this.#point('current', id);
  }

  /**
   * Removes installations that nobody needs, and those that were begun and are not gone on with. There stay the one in force, the
   * one before it (without it the newest), and what a process runs from. Returns the ids of what was removed. Throws
   * `CORE_FOLDER_BUSY`.
   */
  async prune(): Promise<readonly string[]> {
    using _ = await this.lock();
    await this.#sweep();
    const inForce = [await this.#target('current'), await this.#target('previous')];
    const whole = (await this.list()).map(({ id }) => id);
    const stays = new Set([...inForce, ...whole.toReversed()].filter((id) => id !== undefined && whole.includes(id)));
    const needed = new Set([...stays].slice(0, kept));
    const removed: string[] = [];
    for (const id of await this.#names()) {
      if (needed.has(id) || (await folderUsers(this.folder(id))).length > 0) continue;
      await this.#remove(id);
      removed.push(id);
    }
    return removed;
  }

  /** In one step it is no installation any more, however long the rest takes. */
  async #remove(id: string): Promise<void> {
    const grave = this.folder(`.${id}.${randomUUID()}`);
    await rename(this.folder(id), grave);
    await rm(grave, { recursive: true, force: true, maxRetries: 3 });
  }

  /** Removes what a removal that was interrupted has left. */
  async #sweep(): Promise<void> {
    const names = (await readdir(join(this.dir, 'installations')).catch(ignoreMissing)) ?? [];
    const graves = names.filter((name) => graveName.test(name));
    await Promise.all(graves.map((name) => rm(this.folder(name), { recursive: true, force: true, maxRetries: 3 })));
  }

  async #names(): Promise<readonly string[]> {
    const names = (await readdir(join(this.dir, 'installations')).catch(ignoreMissing)) ?? [];
    return names.filter((name) => idName.test(name));
  }

  async #target(name: string): Promise<string | undefined> {
    const target = await readlink(join(this.dir, name)).catch(ignoreMissing);
    return target === undefined ? undefined : basename(target);
  }

  async #point(name: string, id: string): Promise<void> {
    await mkdir(this.dir, { recursive: true });
    const draft = join(this.dir, `.${name}.${randomUUID()}`);
    await symlink(join('installations', id), draft);
    try {
      await rename(draft, join(this.dir, name));
    } catch (error) {
      await rm(draft, { force: true });
      throw error;
    }
  }

  #read(id: string): Installation | undefined {
    const dir = this.folder(id);
    const manifest = readManifest(dir);
    return manifest && { ...manifest, id, dir };
  }
}
