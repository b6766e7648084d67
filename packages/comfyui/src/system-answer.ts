import { statsSchema } from './client/answers.ts';
import type { SystemStats } from './client/types.ts';
import { ComfyUITooOldError, minVersion } from './errors.ts';

type System = SystemStats['system'];

/** What `/system_stats` says of the program; undefined for what is no answer of a ComfyUI. */
export function readSystem(body: string): System | undefined {
  try {
    return statsSchema.parse(JSON.parse(body)).system;
  } catch {
    return undefined; // not JSON, or something else's JSON: the caller says so
  }
}

/** Why it cannot be driven, if so. `where` is the instance. */
export function tooOld(
  { comfyui_version: version }: System,
  where: string,
): InstanceType<typeof ComfyUITooOldError> | undefined {
  if (version !== undefined && !isOlder(version)) return undefined;
  const observed = version === undefined ? 'tells no version' : `is version ${version}`;
  return new ComfyUITooOldError({ where, observed });
}

const isOlder = (version: string) => version.localeCompare(minVersion, 'en', { numeric: true }) < 0;
