import { readFile, rename } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { ignoreMissing, type Layout, type Logger, versionedFile, writeFileAtomically } from '@mgpu/core';
import { z } from 'zod';
import { SettingsInvalidError } from '../errors.ts';
import { instanceFolders, sharedFolders } from '../folders.ts';
import { mergeSettings, type Settings } from './merge-settings.ts';

const record = z.record(z.string(), z.unknown());
const appliedSchema = z.object({ settings: record, uiSettings: record });

export interface WriteSettingsOptions {
  readonly id: string;
  readonly layout: Layout;
  /** Those of the configuration. */
  readonly settings: Settings;
  readonly log: Logger;
}

/**
 * Brings an instance's `config.json` and `ui-config.json` up to date before it reads them. Wanted is, the later the stronger:
 * what keeps instances apart, what people keep in `shared/a1111`, and the configuration. Of a file of the instance that is
 * no JSON a copy is kept. Throws `A1111_SETTINGS_INVALID` for one in `shared/a1111` that is none.
 */
export async function writeSettings({ id, layout, settings, log }: WriteSettingsOptions): Promise<void> {
  const folders = instanceFolders(layout, id);
  const shared = sharedFolders(layout);
  const file = versionedFile(folders.applied, 1, appliedSchema);
  const applied = file.read() ?? { settings: {}, uiSettings: {} };
  const wanted = {
    settings: { ...outputsBelow(folders.output), ...(await readShared(shared.settings)), ...settings },
    uiSettings: await readShared(shared.uiSettings),
  };
  await apply(folders.settings, wanted.settings, applied.settings, log);
  await apply(folders.uiSettings, wanted.uiSettings, applied.uiSettings, log);
  await file.write(wanted);
}

/** Pictures that somebody saves lie with the instance that made them. */
const outputsBelow = (output: string): Settings => ({
  outdir_txt2img_samples: `${output}/txt2img-images`,
  outdir_img2img_samples: `${output}/img2img-images`,
  outdir_extras_samples: `${output}/extras-images`,
  outdir_txt2img_grids: `${output}/txt2img-grids`,
  outdir_img2img_grids: `${output}/img2img-grids`,
  outdir_save: `${output}/saved`,
  outdir_init_images: `${output}/init-images`,
});

async function apply(path: string, wanted: Settings, applied: Settings, log: Logger): Promise<void> {
  const own = await readOwn(path, log);
  const merged = mergeSettings(own ?? {}, wanted, applied);
  if (own === undefined && Object.keys(merged).length === 0) return;
  if (!isDeepStrictEqual(own, merged)) await writeFileAtomically(path, `${JSON.stringify(merged, null, 4)}\n`, 0o644);
}

async function readOwn(path: string, log: Logger): Promise<Settings | undefined> {
  const text = await readFile(path, 'utf8').catch(ignoreMissing);
  if (text === undefined) return undefined;
  const found = readObject(text);
  if (typeof found !== 'string') return found;
  if (text.trim() === '') return undefined;
  await rename(path, `${path}.invalid`);
  log.warn(`${path} cannot be used: ${found}; it is kept as ${path}.invalid, and begun anew`);
  return undefined;
}

async function readShared(path: string): Promise<Settings> {
  const text = await readFile(path, 'utf8').catch(ignoreMissing);
  if (text === undefined) return {};
  const found = readObject(text);
  if (typeof found === 'string') throw new SettingsInvalidError({ path, problem: found });
  return found;
}

/** The object, or what is wrong with it. */
function readObject(text: string): Settings | string {
  try {
    const parsed = record.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : 'it is no JSON object';
  } catch (error) {
    return `it is no JSON (${(error as Error).message})`;
  }
}
