import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readlink, rename, rm, symlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ignoreMissing, type Layout, lockFolder } from '@mgpu/core';
import { type Installation, readManifest } from './installation.ts';

/** The installations below `<root>/engines/a1111`; `current`, a link that changes in one step, is what instances start with. */
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
    const names = (await readdir(join(this.dir, 'installations')).catch(ignoreMissing)) ?? [];
    const whole = names.flatMap((id) => this.#read(id) ?? []);
    return whole.toSorted((a, b) => (a.createdAt < b.createdAt ? -1 : 1));
  }

  async current(): Promise<Installation | undefined> {
    const target = await readlink(join(this.dir, 'current')).catch(ignoreMissing);
    return target === undefined ? undefined : this.#read(basename(target));
  }

  /** What starts from now on runs it; what runs is not touched. */
  async activate({ id }: Installation): Promise<void> {
    await mkdir(this.dir, { recursive: true });
    const draft = join(this.dir, `.current.${randomUUID()}`);
    await symlink(join('installations', id), draft);
    try {
      await rename(draft, join(this.dir, 'current'));
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
