import { existsSync, type FSWatcher, mkdirSync, readdirSync, readFileSync, watch } from 'node:fs';
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
/** A GPU that is out of service. */
export type QuarantinedGpu = z.infer<typeof flagSchema>;

const folderIn = (stateDir: string) => join(stateDir, 'quarantine');

/** The GPUs that are out of service, as their files say; needs no daemon. Throws when they cannot be looked for. */
export function quarantinedGpus(stateDir: string): readonly QuarantinedGpu[] {
  let names: string[];
  try {
    names = readdirSync(folderIn(stateDir)).filter((name) => name.endsWith('.json'));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // There never was one; something else in its place is no answer.
    if (code === 'ENOENT' || (code === 'ENOTDIR' && !existsSync(stateDir))) return [];
    throw error;
  }
  return names.map((name) => {
    const gpu = name.slice(0, -'.json'.length);
    try {
      return flagSchema.parse(JSON.parse(readFileSync(join(folderIn(stateDir), name), 'utf8')));
    } catch {
      // Made by hand, or by another version: its name says all that is needed.
      return { gpu, at: '', bootId: bootId() ?? '', reason: `${name} says so`, hint: 'see who made that file' };
    }
  });
}

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
 * there, whoever made it. Whoever removes the file gives it back, at once; a reboot does so when the GPU then is well.
 */
export class Quarantine implements Disposable {
  readonly #options: QuarantineOptions;
  readonly #folder: string;
  readonly #held = new Map<string, QuarantinedGpu>();
  /** Whose file could not be written. */
  readonly #unwritten = new Set<string>();
  #watcher: FSWatcher | undefined;

  constructor(options: QuarantineOptions) {
    this.#options = options;
    this.#folder = folderIn(options.stateDir);
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
    if (!this.look()) return;
    // A watchdog before us in this daemon's life may have held what was given back since.
    for (const each of this.#options.supervisor.instances())
      if (each.gpu?.uuid !== undefined && !this.#held.has(each.gpu.uuid)) each.release(hold);
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
    const flag: QuarantinedGpu = { gpu, at: now(), bootId: bootId() ?? '', reason, hint };
    this.#held.set(gpu, flag);
    log.error(`${gpu} is put out of service: ${reason}`, { gpu, hint });
    // Before anything is told of it: whoever comes after us is not to start anything there.
    this.#keep(flag);
    const instances = drain ? await this.#drain(flag) : await this.#holdAll(flag);
    if (this.#held.get(gpu) !== flag) return; // given back meanwhile
    incidents.note(gpu, `put out of service, stopped: ${instances.join(', ') || 'nothing'}`);
  }

  /** Holds those that have a file, gives back those whose file is gone. False when that cannot be known: all stays as it is. */
  look(): boolean {
    const flags = this.#flags();
    if (!flags) return false;
    for (const flag of flags) if (!this.#held.has(flag.gpu)) this.#takeUp(flag);
    const there = new Set(flags.map(({ gpu }) => gpu));
    for (const gpu of there) this.#unwritten.delete(gpu); // somebody made it since: whoever removes it gives the GPU back
    for (const gpu of this.#held.keys()) if (!there.has(gpu) && !this.#unwritten.has(gpu)) this.#giveBack(gpu);
    return true;
  }

  [Symbol.dispose](): void {
    this.#watcher?.close();
  }

  /** Its file was there before us, or somebody made it. */
  #takeUp(flag: QuarantinedGpu): void {
    const { gpu, reason, hint } = flag;
    const { log } = this.#options;
    this.#held.set(gpu, flag);
    log.error(`${gpu} is out of service: ${reason}`, { gpu, hint });
    void this.#holdAll(flag);
    if (flag.bootId === bootId()) return;
    this.#test(flag).catch((error: unknown) => log.warn(`${gpu} stays out of service`, { error }));
  }

  #keep(flag: QuarantinedGpu): void {
    try {
      versionedFile(this.#pathOf(flag.gpu), 1, flagSchema).writeSync(flag);
    } catch (error) {
      // Without its file it stays out of service for as long as this watchdog lives.
      this.#unwritten.add(flag.gpu);
      this.#options.log.error(`${flag.gpu}: that it is out of service could not be kept`, { error });
    }
  }

  /** Engines go on until nobody feeds them any more. */
  async #drain(flag: QuarantinedGpu): Promise<readonly string[]> {
    const on = this.#instancesOn(flag.gpu);
    const feeders = new Set(this.#options.feeders.of().map(({ id }) => id));
    await this.#holdEach(
      flag,
      on.filter(({ id }) => feeders.has(id)),
    );
    if (this.#held.get(flag.gpu) !== flag) return []; // given back meanwhile
    await this.#holdEach(
      flag,
      on.filter(({ id }) => !feeders.has(id)),
    );
    return on.map(({ id }) => id);
  }

  async #holdAll(flag: QuarantinedGpu): Promise<readonly string[]> {
    const on = this.#instancesOn(flag.gpu);
    await this.#holdEach(flag, on);
    return on.map(({ id }) => id);
  }

  async #holdEach(flag: QuarantinedGpu, instances: readonly SupervisedInstance[]): Promise<void> {
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
  async #test({ gpu }: QuarantinedGpu): Promise<void> {
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

  /** Undefined when they cannot be looked for. */
  #flags(): readonly QuarantinedGpu[] | undefined {
    try {
      return quarantinedGpus(this.#options.stateDir);
    } catch (error) {
      this.#options.log.warn('which GPUs are out of service cannot be read, all stay as they are', { error });
      return undefined;
    }
  }

  #pathOf(gpu: string): string {
    return join(this.#folder, `${gpu}.json`);
  }
}
