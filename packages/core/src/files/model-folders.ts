import { mkdir, readdir, readFile } from 'node:fs/promises';
import { isAbsolute, join, normalize, relative } from 'node:path';
import { ignore } from './ignore.ts';
import type { Layout } from './layout.ts';

/**
 * ComfyUI's model types and, under `shared/models`, the folders each is looked for in, as its `folder_paths.py` has them. The
 * first of each is made.
 */
const modelTypes: Readonly<Record<string, readonly string[]>> = {
  checkpoints: ['checkpoints'],
  configs: ['configs'],
  loras: ['loras'],
  vae: ['vae'],
  vae_approx: ['vae_approx'],
  text_encoders: ['text_encoders', 'clip'],
  diffusion_models: ['diffusion_models', 'unet'],
  clip_vision: ['clip_vision'],
  style_models: ['style_models'],
  embeddings: ['embeddings'],
  diffusers: ['diffusers'],
  controlnet: ['controlnet', 't2i_adapter'],
  gligen: ['gligen'],
  upscale_models: ['upscale_models'],
  latent_upscale_models: ['latent_upscale_models'],
  hypernetworks: ['hypernetworks'],
  photomaker: ['photomaker'],
  classifiers: ['classifiers'],
  model_patches: ['model_patches'],
  audio_encoders: ['audio_encoders'],
};

/** Names that ComfyUI takes for another. */
const formerTypes: Readonly<Record<string, string>> = { clip: 'text_encoders', unet: 'diffusion_models' };
/** What the predecessors' file names beside types of models. */
const otherFolders = new Set(['input', 'output', 'temp', 'user', 'workflows']);
/** Where the predecessors' shared folder lay: in their files it stands for ours. */
const formerShared = '/workspace/shared';

/** What all engines share, below `<root>/shared`. */
export const sharedFolders = ({ shared }: Layout) => ({
  models: join(shared, 'models'),
  /** The models of Automatic1111. */
  sdModels: join(shared, 'sd_models'),
  customNodes: join(shared, 'custom_nodes'),
  workflows: join(shared, 'workflows'),
  input: join(shared, 'input'),
  /** The predecessors' list of folders; in the form of ComfyUI's `extra_model_paths.yaml`. */
  modelFolders: join(shared, 'comfy_dir_config.yaml'),
});

/** Where engines look for models, as the layout, the predecessors' file and what lies there have it. */
export interface ModelFolders {
  readonly shared: string;
  /** By type, in the order they are looked through: paths below `shared`, or absolute ones outside it. */
  readonly types: Readonly<Record<string, readonly string[]>>;
  /** Paths below `shared` that are to be there. */
  readonly wanted: readonly string[];
  /** What of the file cannot be used, in words; the rest of it counts. */
  readonly problems: readonly string[];
}

/** Reads where models lie; changes nothing. Folders of types that custom nodes brought along go by their own names. */
export async function readModelFolders(layout: Layout): Promise<ModelFolders> {
  const { shared } = layout;
  const { models, modelFolders } = sharedFolders(layout);
  const types = new Map<string, Set<string>>();
  const add = (type: string, folder: string) => {
    const known = types.get(type) ?? new Set();
    types.set(type, known.add(folder));
  };
  for (const [type, names] of Object.entries(modelTypes)) for (const name of names) add(type, `models/${name}`);
  add('custom_nodes', 'custom_nodes');
  const wanted = new Set([
    'custom_nodes',
    'workflows',
    'input',
    ...Object.keys(modelTypes).map((it) => `models/${it}`),
  ]);
  const { folders, problems } = await readFolderFile(modelFolders, shared);
  for (const { type, path } of folders) {
    const inside = relative(shared, path);
    const isInside = inside !== '' && !inside.startsWith('..') && !isAbsolute(inside);
    if (isInside) wanted.add(inside);
    if (!otherFolders.has(type)) add(formerTypes[type] ?? type, isInside ? inside : path);
  }
  const present = await readdir(models, { withFileTypes: true }).catch(ignore('ENOENT'));
  const known = new Set([...types.values()].flatMap((each) => [...each]));
  const further = present?.filter((each) => !each.isFile() && !each.name.startsWith('.')).map(({ name }) => name) ?? [];
  for (const name of further.toSorted()) if (!known.has(`models/${name}`)) add(name, `models/${name}`);
  return {
    shared,
    types: Object.fromEntries([...types].map(([type, each]) => [type, [...each]])),
    wanted: [...wanted],
    problems,
  };
}

/** Makes the folders that are to be there; those that are stay as they are. */
export async function makeModelFolders({ shared, wanted }: ModelFolders): Promise<void> {
  await Promise.all(wanted.map((path) => mkdir(join(shared, path), { recursive: true })));
}

/** The file for ComfyUI's `--extra-model-paths-config`: the shared folders first, the checkout's own after them. */
export async function modelPathsText({ shared, types }: ModelFolders): Promise<string> {
  // Loaded by what starts an engine or a sync, not by everything that knows of folders.
  const { stringify } = await import('yaml');
  const lines = (folders: readonly string[]) =>
    folders.map((path) => (isAbsolute(path) ? path : `${path}/`)).join('\n');
  const paths = Object.entries(types).map(([type, folders]) => [type, lines(folders)]);
  return stringify({ mgpu: { base_path: shared, is_default: true, ...Object.fromEntries(paths) } });
}

interface NamedFolder {
  readonly type: string;
  /** Absolute. */
  readonly path: string;
}

async function readFolderFile(
  file: string,
  shared: string,
): Promise<{ folders: readonly NamedFolder[]; problems: readonly string[] }> {
  const text = await readFile(file, 'utf8').catch(ignore('ENOENT'));
  if (text === undefined) return { folders: [], problems: [] };
  const { parse } = await import('yaml');
  let document: unknown;
  try {
    document = parse(text);
  } catch (error) {
    return { folders: [], problems: [`${file} is no YAML: ${(error as Error).message.split('\n')[0]}`] };
  }
  const problems: string[] = [];
  const folders: NamedFolder[] = [];
  if (!isObject(document)) return { folders, problems: document === null ? [] : [`${file} has no sections`] };
  for (const [section, content] of Object.entries(document)) {
    if (content === null) continue;
    if (!isObject(content)) {
      problems.push(`${file}: ${section} is no section`);
      continue;
    }
    const { base_path: given, is_default: _, ...types } = content;
    const base = basePath(given, shared);
    for (const [type, value] of Object.entries(types)) {
      if (typeof value !== 'string') problems.push(`${file}: ${section}.${type} is no path`);
      else
        for (const line of value.split('\n').map((each) => each.trim()))
          if (line !== '')
            folders.push({ type, path: normalize(join(isAbsolute(line) ? '/' : base, line)).replace(/\/$/, '') });
    }
  }
  return { folders, problems };
}

/** ComfyUI takes paths from the folder of the file, which is the shared one. */
function basePath(given: unknown, shared: string): string {
  if (typeof given !== 'string') return shared;
  const path = normalize(given).replace(/\/$/, '');
  if (path === formerShared) return shared;
  return isAbsolute(path) ? path : join(shared, path);
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
