import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Layout } from '@mgpu/core';
import { stringify } from 'yaml';

/** ComfyUI's model types and, under `shared/models`, the folders each is looked for in. Its own is made. */
const folders: Readonly<Record<string, readonly string[]>> = {
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

/** What all engines share, below `<root>/shared`. */
export const sharedFolders = ({ shared }: Layout) => ({
  models: join(shared, 'models'),
  customNodes: join(shared, 'custom_nodes'),
  workflows: join(shared, 'workflows'),
  input: join(shared, 'input'),
});

/** Makes the shared folders; those that are there stay as they are. */
export async function makeSharedFolders(layout: Layout): Promise<void> {
  const { models, customNodes, workflows, input } = sharedFolders(layout);
  const ofTypes = Object.keys(folders).map((type) => join(models, type));
  await Promise.all([customNodes, workflows, input, ...ofTypes].map((path) => mkdir(path, { recursive: true })));
}

/**
 * The file for `--extra-model-paths-config`: shared models and custom nodes first, the checkout's own after them.
 * Folders of types that custom nodes brought along are passed on by their own names.
 */
export async function renderModelPaths(layout: Layout): Promise<string> {
  const { models } = sharedFolders(layout);
  const present = await readdir(models, { withFileTypes: true });
  const known = new Set(Object.values(folders).flat());
  const further = present.filter((each) => !each.isFile() && !known.has(each.name)).map(({ name }) => [name, [name]]);
  const types: Record<string, readonly string[]> = { ...folders, ...Object.fromEntries(further.toSorted()) };
  const paths = Object.entries(types).map(([type, names]) => [type, names.map((name) => `models/${name}/`).join('\n')]);
  return stringify({
    mgpu: { base_path: layout.shared, is_default: true, ...Object.fromEntries(paths), custom_nodes: 'custom_nodes/' },
  });
}
