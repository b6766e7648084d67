import { constants } from 'node:fs';
import { type FileHandle, lstat, open, readdir, rmdir, unlink } from 'node:fs/promises';

export interface OldFilesOptions {
  readonly folders: readonly string[];
  /** Files that were not changed for this long are removed, milliseconds. */
  readonly olderThanMs: number;
  /** Wall clock, milliseconds since the epoch, as the files' times. */
  readonly now: number;
  readonly signal?: AbortSignal | undefined;
}

/** What a clean-up did. */
export interface Removed {
  readonly files: number;
  /** Given back to the file system; a file with another name elsewhere gives nothing back. */
  readonly bytes: number;
  /** What could not be removed and why, the first few. */
  readonly problems: readonly string[];
}

const maxProblems = 20;

/**
 * Removes old files below the folders, and the folders that got empty by that. Links are neither followed nor removed,
 * other file systems not entered; nothing outside can be reached, whoever moves things about meanwhile. A folder that is
 * not there has no old files. Rejects with the signal's reason.
 */
export async function removeOldFiles(options: OldFilesOptions): Promise<Removed> {
  const removal = new Removal(options);
  for (const folder of options.folders) await removal.enter(folder, folder);
  return removal.result;
}

class Removal {
  readonly #options: OldFilesOptions;
  #files = 0;
  #bytes = 0;
  readonly #problems: string[] = [];

  constructor(options: OldFilesOptions) {
    this.#options = options;
  }

  get result(): Removed {
    return { files: this.#files, bytes: this.#bytes, problems: this.#problems };
  }

  /** `path` is where it is reached, `name` what people call it. True when files of it were removed. */
  async enter(path: string, name: string, device?: number): Promise<boolean> {
    let folder: FileHandle;
    try {
      folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT') this.#complain(name, error);
      return false;
    }
    try {
      const { dev } = await folder.stat();
      if (device !== undefined && dev !== device) return false;
      // Through its descriptor it stays this folder, even if another, or a link, takes its name.
      return await this.#clean(`/proc/self/fd/${folder.fd}`, name, dev);
    } catch (error) {
      this.#options.signal?.throwIfAborted();
      this.#complain(name, error);
      return false;
    } finally {
      await folder.close();
    }
  }

  async #clean(path: string, name: string, device: number): Promise<boolean> {
    const { signal } = this.#options;
    let removed = false;
    for (const entry of await readdir(path, { withFileTypes: true })) {
      signal?.throwIfAborted();
      const [inner, called] = [`${path}/${entry.name}`, `${name}/${entry.name}`];
      if (entry.isDirectory()) {
        const emptied = await this.enter(inner, called, device);
        if (emptied) await rmdir(inner).catch((error) => this.#complainUnlessFull(called, error));
        removed ||= emptied;
      } else if (entry.isFile() && (await this.#remove(inner, called))) removed = true;
    }
    return removed;
  }

  async #remove(path: string, name: string): Promise<boolean> {
    const { now, olderThanMs } = this.#options;
    try {
      const { mtimeMs, ctimeMs, blocks, nlink } = await lstat(path);
      // A file that was copied or moved here keeps the time of its content.
      if (now - Math.max(mtimeMs, ctimeMs) < olderThanMs) return false;
      await unlink(path);
      this.#files++;
      if (nlink === 1) this.#bytes += blocks * 512;
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.#complain(name, error);
      return false;
    }
  }

  #complainUnlessFull(name: string, error: NodeJS.ErrnoException): void {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'ENOENT') this.#complain(name, error);
  }

  #complain(name: string, error: unknown): void {
    if (this.#problems.length < maxProblems) this.#problems.push(`${name}: ${(error as Error).message}`);
  }
}
