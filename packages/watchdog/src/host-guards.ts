import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock, Logger } from '@mgpu/core';
import type { WatchdogConfig } from './config.ts';
import type { FaultLadder } from './fault-ladder.ts';
import type { Intake } from './intake.ts';
import { diskSpace } from './rules/disk-space.ts';
import { hostMemory } from './rules/host-memory.ts';
import { hostFiles } from './rules/open-files.ts';
import { sampleDisk } from './sources/disk.ts';
import { sampleHostMemory } from './sources/host-memory.ts';
import { removeOldFiles } from './sources/old-files.ts';
import { sampleOpenFiles } from './sources/open-files.ts';

export interface HostGuardsOptions {
  readonly config: WatchdogConfig;
  readonly root: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly ladder: FaultLadder;
  readonly intake: Intake;
}

const gib = 1_073_741_824;

/** Judges what is left of the machine: disk, memory, open files. */
export class HostGuards {
  readonly #options: HostGuardsOptions;

  constructor(options: HostGuardsOptions) {
    this.#options = options;
  }

  async look(): Promise<void> {
    const { clock, ladder, root, log } = this.#options;
    const { disk, memory } = this.#options.config;
    const stopped = (rule: string) => this.#options.intake.isStopped(rule);
    const room = await sampleDisk(root, clock).catch((error: unknown) => {
      log.warn('the disk of the root could not be looked at', { error });
      return undefined;
    });
    const ram = sampleHostMemory(clock);
    const files = sampleOpenFiles(clock);
    const diskRule = diskSpace({
      warnBelow: disk.warnGiB * gib,
      cleanBelow: disk.cleanGiB * gib,
      stopBelow: disk.stopGiB * gib,
      resumeAbove: disk.resumeGiB * gib,
    });
    const memoryRule = hostMemory({
      warnBelow: memory.warnShare,
      stopBelow: memory.stopShare,
      resumeAbove: memory.resumeShare,
    });
    // What could not be looked at stands as it stood.
    if (room) ladder.stands('disk', diskRule([{ ...room, stopped: stopped('disk-space') }]));
    if (ram) ladder.stands('memory', memoryRule([{ ...ram, stopped: stopped('host-memory') }]));
    if (files) ladder.stands('files', hostFiles([{ ...files, stopped: stopped('host-files') }]));
  }
}

/** Removes outputs that are old enough; tells what it did. */
export async function cleanUp(
  { enabled, folders, olderThanMs }: WatchdogConfig['cleanUp'],
  { root, now, signal }: { root: string; now: number; signal: AbortSignal },
): Promise<string> {
  if (!enabled) return 'old outputs are left alone: services.watchdog.cleanUp.enabled is false';
  const paths = (await Promise.all(folders.map((each) => matching(root, each.split('/'))))).flat();
  const { files, bytes, problems } = await removeOldFiles({ folders: paths, olderThanMs, now, signal });
  const failed = problems.length > 0 ? `; could not be removed: ${problems.slice(0, 3).join(', ')}` : '';
  return `${files} old outputs were removed, ${(bytes / gib).toFixed(1)} GiB${failed}`;
}

/** `*` stands for any one name. */
async function matching(folder: string, [name, ...rest]: readonly string[]): Promise<string[]> {
  if (name === undefined) return [folder];
  if (name !== '*') return matching(join(folder, name), rest);
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []); // not there: nothing to remove
  const folders = entries.filter((each) => each.isDirectory());
  return (await Promise.all(folders.map((each) => matching(join(folder, each.name), rest)))).flat();
}
