import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readlink, rename, rm, symlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ignoreMissing } from './ignore.ts';

/**
 * Folders `<dir>/<family>/<id>`, and links in `dir` that say which of them is meant: `current`, `previous`, and what else its
 * user names. Links change, and folders go, in one step.
 */
export class LinkedFolders {
  readonly dir: string;
  readonly #family: string;
  readonly #isId: RegExp;

  /** What in the family's folder does not look like an id is left alone. */
  constructor({ dir, family, isId }: { dir: string; family: string; isId: RegExp }) {
    this.dir = dir;
    this.#family = family;
    this.#isId = isId;
  }

  folder(id: string): string {
    return join(this.dir, this.#family, id);
  }

  /** Ids, in their order. */
  async ids(): Promise<readonly string[]> {
    return (await this.#names()).filter((name) => this.#isId.test(name)).toSorted();
  }

  /** The id that a link leads to; undefined for what is no link, or leads elsewhere: that is somebody's own. */
  async target(name: string): Promise<string | undefined> {
    const target = await readlink(join(this.dir, name)).catch(() => undefined);
    return target?.startsWith(`${this.#family}/`) ? basename(target) : undefined;
  }

  async point(name: string, id: string): Promise<void> {
    await mkdir(this.dir, { recursive: true });
    const draft = join(this.dir, `.${name}.${randomUUID()}`);
    await symlink(join(this.#family, id), draft);
    try {
      await rename(draft, join(this.dir, name));
    } catch (error) {
      await rm(draft, { force: true });
      throw error;
    }
  }

  /** Makes it `current`; what was so is `previous` then. */
  async switchTo(id: string): Promise<void> {
    const former = await this.target('current');
    if (former !== undefined && former !== id) await this.point('previous', former);
    await this.point('current', id);
  }

  /** It is none of them any more at once, however long the rest takes. */
  async remove(id: string): Promise<void> {
    const grave = this.folder(`.${id}.${randomUUID()}`);
    await rename(this.folder(id), grave);
    if ((await this.target('previous')) === id) await rm(join(this.dir, 'previous'), { force: true });
    await rm(grave, { recursive: true, force: true, maxRetries: 3 });
  }

  /** Removes what a removal that was interrupted has left. */
  async sweep(): Promise<void> {
    const isGrave = (name: string) => name.startsWith('.') && this.#isId.test(name.slice(1, name.lastIndexOf('.')));
    const graves = (await this.#names()).filter(isGrave);
    await Promise.all(graves.map((name) => rm(this.folder(name), { recursive: true, force: true, maxRetries: 3 })));
  }

  async #names(): Promise<readonly string[]> {
    return (await readdir(join(this.dir, this.#family)).catch(ignoreMissing)) ?? [];
  }
}
