import { createHash, type Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, link, lstat, mkdir, open, rename, rm, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { bootId, versionedFile } from '@mgpu/core';
import { z } from 'zod';
import { DiskFullError, TakenError } from '../errors.ts';

const factsSchema = z.object({
  source: z.string(),
  /** Strong entity tag, or the date of the last change: what says that it is still the same file. */
  validator: z.string().optional(),
  /** Boot of the host: after another the end of what was written may never have reached the disk. */
  boot: z.string().optional(),
});

/** What has to be so for a download to be gone on with. */
export interface PartOrigin {
  readonly source: string;
  readonly validator?: string | undefined;
}

/** Ends of names under which a download lies until it is whole; neither is a model to any engine. */
export const partSuffix = '.mgpu-part';
export const partFactsSuffix = `${partSuffix}.json`;

/** The file that a download of `path` fills. */
export const partPath = (path: string): string => join(dirname(path), `.${basename(path)}${partSuffix}`);

/**
 * A download on its way: a hidden file beside its final place, with a note of where it comes from. Only one process at a time
 * may have it (the store's lock sees to that).
 */
export class PartFile implements AsyncDisposable {
  readonly #final: string;
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #facts: ReturnType<typeof factsOf>;
  #hash: Hash | undefined = createHash('sha256');
  #size = 0;
  #isResumed = false;

  private constructor(final: string, path: string, file: FileHandle) {
    this.#final = final;
    this.#path = path;
    this.#file = file;
    this.#facts = factsOf(path);
  }

  /** Opens it, and makes its folder. */
  static async open(final: string): Promise<PartFile> {
    const path = partPath(final);
    await mkdir(dirname(path), { recursive: true });
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
    return new PartFile(final, path, await open(path, flags, 0o644));
  }

  /** Bytes that are there. */
  get size(): number {
    return this.#size;
  }

  /** Whether some of it was brought by an earlier process or connection. */
  get isResumed(): boolean {
    return this.#isResumed;
  }

  /**
   * Takes over what an earlier process left, if it is of the same source and either can be told to be the same file or will
   * be told so by its checksum. Returns the validator to ask with.
   */
  async takeOver(source: string, hasChecksum: boolean): Promise<string | undefined> {
    const facts = this.#readFacts();
    const { size } = await this.#file.stat();
    const isSound = hasChecksum || (facts?.validator !== undefined && facts.boot === bootId());
    if (facts?.source !== source || !isSound || size === 0) {
      await this.restart();
      return undefined;
    }
    const chunk = Buffer.allocUnsafe(1 << 20);
    for (let at = 0; at < size; ) {
      const { bytesRead } = await this.#file.read(chunk, 0, chunk.length, at);
      if (bytesRead === 0) break;
      this.#hash?.update(chunk.subarray(0, bytesRead));
      at += bytesRead;
      this.#size = at;
    }
    this.#isResumed = true;
    return facts.validator;
  }

  /** Forgets what is there. */
  async restart(): Promise<void> {
    await this.#file.truncate(0);
    this.#hash = createHash('sha256');
    this.#size = 0;
    this.#isResumed = false;
  }

  /** Notes where it comes from, before the first byte. */
  async note({ source, validator }: PartOrigin): Promise<void> {
    await this.#facts.write({ source, boot: bootId(), ...(validator === undefined ? {} : { validator }) });
  }

  /** What follows comes by another connection. */
  continue(): void {
    if (this.#size > 0) this.#isResumed = true;
  }

  /** Throws `MODELS_DISK_FULL`. */
  async append(chunk: Uint8Array): Promise<void> {
    try {
      for (let done = 0; done < chunk.length; ) {
        const { bytesWritten } = await this.#file.write(chunk, done, chunk.length - done, this.#size + done);
        done += bytesWritten;
      }
    } catch (error) {
      if (!['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
      throw new DiskFullError({ path: basename(this.#final), received: this.#size }, { cause: error });
    }
    this.#hash?.update(chunk);
    this.#size += chunk.length;
  }

  /** SHA-256 of all of it. Nothing is appended after that. */
  digest(): string {
    const hash = this.#hash;
    if (!hash) throw new TypeError('a digest is taken once');
    this.#hash = undefined;
    return hash.digest('hex');
  }

  /** Gives it its name: what is there stays unless it is to be replaced. Throws `MODELS_TAKEN`. */
  async publish({ replace }: { readonly replace: boolean }): Promise<void> {
    await this.#file.sync();
    if (replace) await rename(this.#path, this.#final);
    else await this.#publishBeside();
    await syncFolder(dirname(this.#final));
    await rm(`${this.#path}.json`, { force: true });
  }

  async remove(): Promise<void> {
    await rm(this.#path, { force: true });
    await rm(`${this.#path}.json`, { force: true });
  }

  /** What is empty is no use to anybody. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { size, nlink } = await this.#file.stat();
    await this.#file.close();
    if (size === 0 && nlink > 0) await this.remove();
  }

  async #publishBeside(): Promise<void> {
    const taken = () => new TakenError({ path: this.#final, problem: 'something came into its place meanwhile' });
    try {
      await link(this.#path, this.#final);
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException;
      if (code === 'EEXIST') throw taken();
      if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK', 'ENOSYS'].includes(code)) throw error;
      // A file system without hard links.
      if (await isThere(this.#final)) throw taken();
      await rename(this.#path, this.#final);
      return;
    }
    await unlink(this.#path);
  }

  #readFacts() {
    try {
      return this.#facts.read();
    } catch {
      return undefined; // of no use, and written anew before the first byte
    }
  }
}

const factsOf = (path: string) => versionedFile(`${path}.json`, 1, factsSchema);

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, constants.O_RDONLY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

const isThere = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
