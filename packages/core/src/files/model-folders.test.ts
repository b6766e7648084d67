import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { temporaryFolder } from '../testing/temporary-folder.ts';
import { layoutOf } from './layout.ts';
import { makeModelFolders, modelPathsText, readModelFolders } from './model-folders.ts';

const predecessors = `comfyui:
  base_path: /workspace/shared
  is_default: true
  custom_nodes: custom_nodes
  input: input
  checkpoints: models/checkpoints
  clip: models/clip
  ipadapter: models/ipadapter
  ultralytics_bbox: models/ultralytics/bbox
  text_encoders: text_encoders
  loras: |
    models/loras
    /mnt/more/loras
elsewhere:
  base_path: /mnt/big
  vae: vae
  upscale_models: 3
broken: yes
`;

test("the predecessors' file adds folders to those of today, and its folders are made below ours alone", async () => {
  using root = temporaryFolder();
  const layout = layoutOf(root.path);
  mkdirSync(join(layout.shared, 'models', 'brought_along'), { recursive: true });
  writeFileSync(join(layout.shared, 'comfy_dir_config.yaml'), predecessors);
  const folders = await readModelFolders(layout);
  expect(folders.problems).toEqual([
    expect.stringContaining('elsewhere.upscale_models is no path'),
    expect.stringContaining('broken is no section'),
  ]);
  expect(folders.types).toMatchObject({
    text_encoders: ['models/text_encoders', 'models/clip', 'text_encoders'],
    diffusion_models: ['models/diffusion_models', 'models/unet'],
    loras: ['models/loras', '/mnt/more/loras'],
    vae: ['models/vae', '/mnt/big/vae'],
    ipadapter: ['models/ipadapter'],
    ultralytics_bbox: ['models/ultralytics/bbox'],
    brought_along: ['models/brought_along'],
    custom_nodes: ['custom_nodes'],
    latent_upscale_models: ['models/latent_upscale_models'],
  });
  expect(Object.keys(folders.types)).not.toContain('input');
  await makeModelFolders(folders);
  for (const path of ['text_encoders', 'models/ultralytics/bbox', 'models/audio_encoders', 'input', 'workflows']) {
    expect(existsSync(join(layout.shared, path)), path).toBe(true);
  }
  expect(existsSync('/mnt/more/loras')).toBe(false);
  expect(parse(await modelPathsText(folders)).mgpu).toMatchObject({
    base_path: layout.shared,
    is_default: true,
    loras: 'models/loras/\n/mnt/more/loras',
    custom_nodes: 'custom_nodes/',
  });
});

test('a file that is no YAML is told, and the folders of today are there all the same', async () => {
  using root = temporaryFolder();
  const layout = layoutOf(root.path);
  mkdirSync(layout.shared);
  writeFileSync(join(layout.shared, 'comfy_dir_config.yaml'), 'a: [');
  const { problems, types } = await readModelFolders(layout);
  expect(problems).toEqual([expect.stringContaining('is no YAML')]);
  expect(types.checkpoints).toEqual(['models/checkpoints']);
});
