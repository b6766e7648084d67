import { lstat, mkdir, stat, symlink } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { ignoreMissing, type Layout, type Logger } from '@mgpu/core';

/** Where one instance keeps what is its own: `<root>/<instance>` is its data folder. */
export function instanceFolders(layout: Layout, id: string) {
  const data = layout.instance(id);
  return {
    data,
    output: join(data, 'output'),
    settings: join(data, 'config.json'),
    uiSettings: join(data, 'ui-config.json'),
    /** What was last written into both, to tell the user's changes from ours. */
    applied: join(data, 'settings-applied.json'),
  };
}

/** What all instances share, below `<root>/shared`. */
export function sharedFolders({ shared }: Pick<Layout, 'shared'>) {
  const models = join(shared, 'sd_models');
  const own = join(shared, 'a1111');
  return {
    /** The program's tree of models. */
    models,
    ownCheckpoints: join(models, 'Stable-diffusion'),
    /** Those that other engines use as well. */
    checkpoints: join(shared, 'models', 'checkpoints'),
    embeddings: join(shared, 'models', 'embeddings'),
    extensions: join(own, 'extensions'),
    configStates: join(own, 'config_states'),
    settings: join(own, 'config.json'),
    uiSettings: join(own, 'ui-config.json'),
    styles: join(own, 'styles.csv'),
  };
}

/** The program's folders of models that have a counterpart among those of other engines, below `shared/models`. */
const counterparts: Readonly<Record<string, string>> = {
  Lora: 'loras',
  VAE: 'vae',
  ESRGAN: 'upscale_models',
  ControlNet: 'controlnet',
  hypernetworks: 'hypernetworks',
};

/** Makes the shared folders. A folder of models that is not there becomes a link to its counterpart, so that engines share files. */
export async function makeSharedFolders(layout: Pick<Layout, 'shared'>): Promise<void> {
  const { models, ownCheckpoints, checkpoints, embeddings, extensions, configStates } = sharedFolders(layout);
  const made = [ownCheckpoints, checkpoints, embeddings, extensions, configStates];
  await Promise.all(made.map((path) => mkdir(path, { recursive: true })));
  for (const [name, counterpart] of Object.entries(counterparts)) {
    const target = join(layout.shared, 'models', counterpart);
    await mkdir(target, { recursive: true });
    await linkUnlessThere(join(models, name), target);
  }
}

/** Gives an instance its share: its own folders, and links where the program knows no flag for a shared place. */
export async function makeInstanceFolders(layout: Layout, id: string, log: Logger): Promise<void> {
  const { data, output } = instanceFolders(layout, id);
  const { extensions, configStates } = sharedFolders(layout);
  await mkdir(output, { recursive: true });
  for (const [name, target] of [
    ['extensions', extensions],
    ['config_states', configStates],
  ] as const) {
    const path = join(data, name);
    await linkUnlessThere(path, target);
    if (await isSame(path, target)) continue;
    log.warn(`${path} is not a link to ${target}: this instance does not share it`, { instance: id });
  }
}

/** Gives checkpoints further names. A real file of that name, and a link that leads elsewhere, are left alone with a warning. */
export async function linkAliases(
  layout: Pick<Layout, 'shared'>,
  aliases: Readonly<Record<string, string>>,
  log: Logger,
): Promise<void> {
  const { ownCheckpoints, checkpoints } = sharedFolders(layout);
  for (const [alias, name] of Object.entries(aliases)) {
    const places = [ownCheckpoints, checkpoints].map((folder) => join(folder, name));
    const there = await Promise.all(places.map((path) => stat(path).catch(ignoreMissing)));
    const target = places.find((_, at) => there[at] !== undefined);
    if (target === undefined) {
      log.warn(`no checkpoint ${name} that could be called ${alias} as well`);
      continue;
    }
    const path = join(ownCheckpoints, alias);
    await linkUnlessThere(path, target);
    if (!(await isSame(path, target))) log.warn(`${path} is there already and is not ${target}`);
  }
}

async function linkUnlessThere(path: string, target: string): Promise<void> {
  if (await lstat(path).catch(ignoreMissing)) return;
  await symlink(relative(join(path, '..'), target), path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error; // another instance was faster
  });
}

/** By device and inode, whatever links lead there. */
async function isSame(one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([stat(one).catch(ignoreMissing), stat(other).catch(ignoreMissing)]);
  return a !== undefined && a.ino === b?.ino && a.dev === b.dev;
}
