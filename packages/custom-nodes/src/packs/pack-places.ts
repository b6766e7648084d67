import { lstat, mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ignoreMissing } from '@mgpu/core';

/** Where the packs of one engine lie. */
export class PackPlaces {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  /** A pack that the engine loads. */
  enabled(name: string): string {
    return join(this.root, name);
  }

  /** One that is put aside, as ComfyUI-Manager does it: the engine passes over what ends with `.disabled`. */
  disabled(name: string): string {
    return join(this.root, '.disabled', name);
  }

  of(name: string, isEnabled: boolean): string {
    return isEnabled ? this.enabled(name) : this.disabled(name);
  }

  /** What is not in its place yet; ours alone, and gone after each apply. */
  get staging(): string {
    return join(this.root, '.mgpu.disabled');
  }

  staged(name: string): string {
    return join(this.staging, name);
  }

  async makeStaging(): Promise<void> {
    await mkdir(this.staging, { recursive: true, mode: 0o700 });
  }

  async clearStaging(): Promise<void> {
    await rm(this.staging, { recursive: true, force: true, maxRetries: 3 });
  }

  async move(from: string, to: string): Promise<void> {
    await mkdir(join(to, '..'), { recursive: true });
    await rename(from, to);
  }

  /** Removes a pack; at no time half of it lies where the engine looks. */
  async remove(dir: string, name: string): Promise<void> {
    const trash = this.staged(`${name}.trash`);
    await rm(trash, { recursive: true, force: true });
    await this.move(dir, trash);
    await rm(trash, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** What is at a path, without following a link. */
export async function kindAt(path: string): Promise<'nothing' | 'folder' | 'link' | 'something else'> {
  const facts = await lstat(path).catch(ignoreMissing);
  if (!facts) return 'nothing';
  if (facts.isSymbolicLink()) return 'link';
  return facts.isDirectory() ? 'folder' : 'something else';
}
