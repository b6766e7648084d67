import { type FSWatcher, mkdirSync, readdirSync, readFileSync, watch } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { bootId, type Logger, reportError, type SupervisedInstance, type Supervisor, versionedFile } from '@mgpu/core';
import { z } from 'zod';
import { GpuQuarantinedError } from './errors.ts';
import type { Feeders } from './feeders.ts';
import type { IncidentBook } from './incidents.ts';
import type { Verdict } from './rules/verdict.ts';

const hold = 'gpu';

const flagSchema = z.object({
  /** UUID. */
  gpu: z.string(),
  /** ISO time. */
  at: z.string(),
  /** The boot in which it was put out of service. */
  bootId: z.string(),
  reason: z.string(),
  hint: z.string(),
});
type Flag = z.infer<typeof flagSchema>;

export interface QuarantineOptions {
  readonly stateDir: string;
  readonly log: Logger;
  readonly supervisor: Supervisor;
  readonly feeders: Feeders;
  readonly incidents: IncidentBook;
  /** ISO time. */
  readonly now: () => string;
  /** Whether a GPU that was out of service before the host was booted works; asked once. */
  readonly isWell: (gpu: string) => Promise<boolean>;
}

/**
 * GPUs that are out of service: each has a file `state/quarantine/<uuid>.json`, and nothing runs on it while that is
 * there. Whoever removes the file gives it back, at once; a reboot does so when the GPU then is well.
 */
export class Quarantine implements Disposable {
  readonly #options: QuarantineOptions;
  readonly #folder: string;
  readonly #held = new Map<string, Flag>();
  /** Without a file, or not yet with one. */
  readonly #unwritten = new Set<string>();
  #watcher: FSWatcher | undefined;

  constructor(options: QuarantineOptions) {
    this.#options = options;
    this.#folder = join(options.stateDir, 'quarantine');
  }

  /** UUIDs. */
  get gpus(): readonly string[] {
    return [...this.#held.keys()];
  }

  /** Holds what a daemon before us put out of service, at once: nothing of it is to start before. */
  begin(): void {
    const { log } = this.#options;
    try {
      mkdirSync(this.#folder, { recursive: true });
      this.#watcher = watch(this.#folder, { persistent: false }, () => this.look());
      this.#watcher.on('error', () => this.#watcher?.close()); // the folder went: the sweep looks
    } catch (error) {
      log.warn('GPUs can only be given back in the sweep', { error });
    }
    for (const flag of this.#flags()) {
      this.#held.set(flag.gpu, flag);
      void this.#holdAll(flag);
      if (flag.bootId === bootId()) continue;
      this.#test(flag).catch((error: unknown) => log.warn(`${flag.gpu} stays out of service`, { error }));
    }
  }

  /** Puts a GPU out of service. With `drain` its jobs may end before the engines stop. */
  async put({ subject: gpu, reason, hint }: Verdict, { drain }: { drain: boolean }): Promise<void> {
    const held = this.#held.get(gpu);
    if (held) {
      // What is worse than before does not wait for jobs to end.
      if (!drain) await this.#holdAll(held);
      return;
    }
    const { log, now, incidents } = this.#options;
    if (this.#instancesOn(gpu).length === 0) return incidents.note(gpu, 'nothing of ours runs on it');
    const flag: Flag = { gpu, at: now(), bootId: bootId() ?? '', reason, hint };
    this.#held.set(gpu, flag);
    log.error(`${gpu} is put out of service: ${reason}`, { gpu, hint });
    const kept = this.#keep(flag);
    const instances = drain ? await this.#drain(flag) : await this.#holdAll(flag);
    await kept;
    incidents.note(gpu, `put out of service, stopped: ${instances.join(', ') || 'nothing'}`);
  }

  /** Gives back those whose file is gone. */
  look(): void {
    const there = new Set(this.#flags().map(({ gpu }) => gpu));
    for (const gpu of this.#held.keys()) if (!there.has(gpu) && !this.#unwritten.has(gpu)) this.#giveBack(gpu);
  }

  [Symbol.dispose](): void {
    this.#watcher?.close();
  }

  async #keep(flag: Flag): Promise<void> {
    this.#unwritten.add(flag.gpu);
    try {
      await versionedFile(this.#pathOf(flag.gpu), 1, flagSchema).write(flag);
      this.#unwritten.delete(flag.gpu);
    } catch (error) {
      // Without its file it stays out of service for as long as this daemon lives.
      this.#options.log.error(`${flag.gpu}: that it is out of service could not be kept`, { error });
    }
  }

  /** Engines go on until nobody feeds them any more. */
  async #drain(flag: Flag): Promise<readonly string[]> {
    const on = this.#instancesOn(flag.gpu);
    const feeders = new Set(this.#options.feeders.of().map(({ id }) => id));
    await this.#holdEach(
      flag,
      on.filter(({ id }) => feeders.has(id)),
    );
    await this.#holdEach(
      flag,
      on.filter(({ id }) => !feeders.has(id)),
    );
    return on.map(({ id }) => id);
  }

  async #holdAll(flag: Flag): Promise<readonly string[]> {
    const on = this.#instancesOn(flag.gpu);
    await this.#holdEach(flag, on);
    return on.map(({ id }) => id);
  }

  async #holdEach(flag: Flag, instances: readonly SupervisedInstance[]): Promise<void> {
    const { gpu, reason, hint: cure } = flag;
    const error = reportError(new GpuQuarantinedError({ gpu, reason, cure, file: this.#pathOf(gpu) }));
    await Promise.all(
      instances.map((each) =>
        each.hold(hold, error).catch((problem: unknown) => {
          this.#options.log.error(`${each.id} could not be stopped`, { error: problem });
        }),
      ),
    );
  }

  #giveBack(gpu: string): void {
    this.#held.delete(gpu);
    this.#options.log.info(`${gpu} is back in service`, { gpu });
    this.#options.incidents.note(gpu, 'back in service');
    for (const each of this.#instancesOn(gpu)) each.release(hold);
  }

  /** A reboot clears it, if the GPU then is well. */
  async #test({ gpu }: Flag): Promise<void> {
    const { isWell, log, incidents } = this.#options;
    if (await isWell(gpu)) await rm(this.#pathOf(gpu), { force: true });
    else {
      log.error(`${gpu} stays out of service: the host was rebooted, and it does not answer`, { gpu });
      incidents.note(gpu, 'the host was rebooted; it stays out of service, nvidia-smi does not show it as well');
    }
    this.look();
  }

  #instancesOn(gpu: string): readonly SupervisedInstance[] {
    return this.#options.supervisor.instances().filter((each) => each.gpu?.uuid === gpu);
  }

  #flags(): Flag[] {
    let names: string[];
    try {
      names = readdirSync(this.#folder).filter((name) => name.endsWith('.json'));
    } catch {
      return []; // there never was one
    }
    return names.flatMap((name) => {
      const gpu = name.slice(0, -'.json'.length);
      try {
        return [flagSchema.parse(JSON.parse(readFileSync(join(this.#folder, name), 'utf8')))];
      } catch {
        // Made by hand, or by another version: its name says all that is needed.
        return [{ gpu, at: '', bootId: bootId() ?? '', reason: `${name} says so`, hint: 'see who made that file' }];
      }
    });
  }

  #pathOf(gpu: string): string {
    return join(this.#folder, `${gpu}.json`);
  }
}
