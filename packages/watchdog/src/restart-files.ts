import { existsSync, type FSWatcher, mkdirSync, readFileSync, rmSync, statSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bootId, type Layout, type Logger } from '@mgpu/core';

export interface RestartFilesOptions {
  readonly layout: Layout;
  readonly log: Logger;
  /** The file that allows restarts came, was touched, or went, by somebody else's hand. */
  readonly onChange: (instance: string, isAllowed: boolean) => void;
}

interface Known {
  isAllowed: boolean;
  /** When `restart_enabled` was touched last, milliseconds since the epoch; undefined without one. */
  touchedAt: number | undefined;
  readonly watcher: FSWatcher | undefined;
}

/**
 * The predecessor's two files in an instance's folder. `restart_enabled` is made when an instance is asked for; somebody
 * who removes it forbids restarts, somebody who touches it allows them again. `restart_count` tells how often it was
 * restarted since it last was stable.
 */
export class RestartFiles implements Disposable {
  readonly #options: RestartFilesOptions;
  readonly #known = new Map<string, Known>();
  /** Whose `restart_enabled` could not be made: that it is not there is nobody's wish. */
  readonly #unmade = new Set<string>();

  constructor(options: RestartFilesOptions) {
    this.#options = options;
  }

  pathOf(instance: string): string {
    return join(this.#options.layout.instance(instance), 'restart_enabled');
  }

  /** Whether restarts are allowed. */
  allows(instance: string): boolean {
    return this.#unmade.has(instance) || existsSync(this.pathOf(instance));
  }

  /** It is wanted: from now on its files are watched. One that was wanted by a daemon before us keeps them as they are. */
  take(instance: string): void {
    if (this.#known.has(instance)) return;
    this.#try(instance, () => {
      if (!this.#isArmed(instance)) this.#allow(instance);
    });
    this.#begin(instance);
    this.look(instance);
  }

  /** Somebody asked for it anew: that allows restarts, and counting begins anew. */
  arm(instance: string): void {
    this.#allow(instance);
    this.#begin(instance);
    this.forgetCount(instance);
  }

  /** It is not wanted any more: nothing is left that could bring it back. */
  letGo(instance: string): void {
    const known = this.#known.get(instance);
    if (!known) return;
    this.#known.delete(instance);
    this.#unmade.delete(instance);
    known.watcher?.close();
    this.#try(instance, () => {
      rmSync(this.pathOf(instance), { force: true });
      rmSync(this.#armedPath(instance), { force: true });
    });
    this.forgetCount(instance);
  }

  /** One restart more. */
  count(instance: string): void {
    this.#try(instance, () => {
      const path = this.#countPath(instance);
      const before = !existsSync(path) ? 0 : Number.parseInt(readFileSync(path, 'utf8'), 10) || 0;
      writeFileSync(path, `${before + 1}\n`);
    });
  }

  forgetCount(instance: string): void {
    this.#try(instance, () => rmSync(this.#countPath(instance), { force: true }));
  }

  /** Looks again: what nobody told us of is noticed. */
  look(instance: string): void {
    if (this.#unmade.has(instance)) this.#allow(instance);
    const known = this.#known.get(instance);
    const isAllowed = this.allows(instance);
    if (!known) return;
    const touchedAt = this.#touchedAt(instance);
    // One that was removed and made again between two looks was touched.
    const isTouched = isAllowed && touchedAt !== known.touchedAt;
    if (known.isAllowed === isAllowed && !isTouched) return;
    known.isAllowed = isAllowed;
    known.touchedAt = touchedAt;
    this.#options.onChange(instance, isAllowed);
  }

  /** Leaves the files as they are. */
  [Symbol.dispose](): void {
    for (const { watcher } of this.#known.values()) watcher?.close();
    this.#known.clear();
  }

  #begin(instance: string): void {
    const watcher =
      this.#known.get(instance)?.watcher ?? this.#watch(instance, this.#options.layout.instance(instance));
    this.#known.set(instance, { isAllowed: true, touchedAt: this.#touchedAt(instance), watcher });
  }

  #allow(instance: string): void {
    const { layout } = this.#options;
    this.#unmade.add(instance);
    this.#try(instance, () => {
      mkdirSync(layout.instance(instance), { recursive: true });
      writeFileSync(this.pathOf(instance), '');
      this.#unmade.delete(instance);
      const known = this.#known.get(instance);
      if (known) known.touchedAt = this.#touchedAt(instance);
      mkdirSync(layout.run, { recursive: true, mode: 0o700 });
      writeFileSync(this.#armedPath(instance), bootId() ?? '');
    });
  }

  #touchedAt(instance: string): number | undefined {
    return statSync(this.pathOf(instance), { throwIfNoEntry: false })?.ctimeMs;
  }

  /** A daemon of this boot has allowed restarts: that they are not allowed now is somebody's wish. */
  #isArmed(instance: string): boolean {
    const path = this.#armedPath(instance);
    // An empty one was cut short by a full disk: `restart_enabled` was there before it.
    return existsSync(path) && ['', bootId()].includes(readFileSync(path, 'utf8'));
  }

  #armedPath(instance: string): string {
    return join(this.#options.layout.run, `${instance}.armed`);
  }

  #countPath(instance: string): string {
    return join(this.#options.layout.instance(instance), 'restart_count');
  }

  #watch(instance: string, folder: string): FSWatcher | undefined {
    try {
      const watcher = watch(folder, { persistent: false }, () => this.look(instance));
      watcher.on('error', () => watcher.close()); // the folder went: the sweep looks
      return watcher;
    } catch (error) {
      this.#options.log.warn(`${instance}: restart_enabled is only looked at in the sweep`, { error });
      return undefined;
    }
  }

  /** A full disk must not keep anything from recovering. */
  #try(instance: string, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#options.log.warn(`${instance}: its restart files could not be written`, { error });
    }
  }
}
