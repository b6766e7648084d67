import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Image, toBytes } from '../../pictures/image.ts';
import { encodePng } from '../../pictures/png.ts';
import { seededRandom } from '../../random.ts';
import { nextOutputFile } from '../output-names.ts';
import { textChunks } from '../text-chunks.ts';
import { attribute, item, linked } from './linked.ts';
import type { NodeClass, NodeContext, NodeResult } from './node.ts';

/** The images to save. */
export const imagesOf = (inputs: Record<string, unknown>) => linked(inputs, 'images', 'IMAGE', item(0, 'shape'));
/** The hidden inputs of nodes that save. */
export const hidden = { prompt: 'PROMPT', extra_pnginfo: 'EXTRA_PNGINFO' };

async function save(images: Image, prefix: string, type: 'output' | 'temp', context: NodeContext): Promise<NodeResult> {
  const text = context.metadata ? textChunks(context.prompt, context.extraPngInfo) : {};
  const root = context.folders.byType(type);
  const { subfolder, name, counter } = await nextOutputFile(root, prefix, images.width, images.height);
  const saved = [];
  for (let i = 0; i < images.batch; i++) {
    const filename = `${name.replaceAll('%batch_num%', String(i))}_${String(counter + i).padStart(5, '0')}_.png`;
    const png = encodePng({ ...images, data: toBytes(images, i) }, text);
    await writeFile(join(root, subfolder, filename), png);
    saved.push({ filename, subfolder, type });
  }
  return { outputs: [images], ui: { images: saved } };
}

export const saveImage: NodeClass = {
  name: 'SaveImage',
  displayName: 'Save Image',
  category: 'image',
  description: 'Saves the input images to your ComfyUI output directory.',
  outputNode: true,
  outputs: ['IMAGE'],
  outputNames: ['images'],
  inputs: () => ({
    required: {
      images: ['IMAGE', { tooltip: 'The images to save.' }],
      filename_prefix: ['STRING', { default: 'ComfyUI', tooltip: 'The prefix for the file to save.' }],
    },
    hidden,
  }),
  run: (inputs, context) => save(imagesOf(inputs), inputs.filename_prefix as string, 'output', context),
};

/** Five letters that stay the same for the life of the server, from the seed of the simulation. */
function temporaryPrefix(seed: number): string {
  const random = seededRandom(seed ^ 0x7e3a);
  return `ComfyUI_temp_${Array.from({ length: 5 }, () => 'abcdefghijklmnopqrstupvxyz'[Math.floor(random() * 26)]).join('')}`;
}

export const previewImage: NodeClass = {
  name: 'PreviewImage',
  displayName: 'Preview Image',
  category: 'image',
  description: 'Preview the images without saving them to the ComfyUI output directory.',
  outputNode: true,
  outputs: ['IMAGE'],
  outputNames: ['images'],
  inputs: () => ({ required: { images: ['IMAGE'] }, hidden }),
  run: (inputs, context) => save(imagesOf(inputs), temporaryPrefix(context.simulation.seed), 'temp', context),
};

export const saveImageWebsocket: NodeClass = {
  name: 'SaveImageWebsocket',
  displayName: 'Save Image (Websocket)',
  category: 'image',
  module: 'custom_nodes.websocket_image_save',
  outputNode: true,
  outputs: [],
  inputs: () => ({ required: { images: ['IMAGE'] } }),
  fingerprint: () => Promise.resolve(String(performance.now())),
  run(inputs, context) {
    const images = linked(inputs, 'images', 'IMAGE', attribute('shape'));
    for (let i = 0; i < images.batch; i++) {
      context.progress(i, images.batch, {
        type: 'image/png',
        bytes: encodePng({ ...images, data: toBytes(images, i) }),
      });
    }
    return { outputs: [] };
  },
};
