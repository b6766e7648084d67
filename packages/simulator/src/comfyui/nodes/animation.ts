import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeWebp } from '../../pictures/picture.ts';
import { nextOutputFile } from '../output-names.ts';
import type { NodeClass } from './node.ts';
import { hidden, imagesOf } from './save.ts';

/** How hard the encoder tries, from 0 to 6. */
const METHODS: Readonly<Record<string, number>> = { default: 4, fastest: 0, slowest: 6 };

export const saveAnimatedWebp: NodeClass = {
  name: 'SaveAnimatedWEBP',
  displayName: 'Save Animated WEBP',
  category: 'image',
  module: 'comfy_extras.nodes_images',
  outputNode: true,
  outputs: ['IMAGE'],
  outputNames: ['images'],
  inputs: () => ({
    required: {
      images: ['IMAGE', {}],
      filename_prefix: ['STRING', { default: 'ComfyUI', multiline: false }],
      fps: ['FLOAT', { default: 6, min: 0.01, max: 1000, step: 0.01 }],
      lossless: ['BOOLEAN', { default: true }],
      quality: ['INT', { default: 80, min: 0, max: 100 }],
      method: ['COMBO', { multiselect: false, options: Object.keys(METHODS) }],
    },
    hidden,
  }),
  async run(inputs, { folders }) {
    const images = imagesOf(inputs);
    const root = folders.byType('output');
    const prefix = inputs.filename_prefix as string;
    const { subfolder, name, counter } = await nextOutputFile(root, prefix, images.width, images.height);
    const filename = `${name}_${String(counter).padStart(5, '0')}_.webp`;
    const file = await encodeWebp(images, {
      frameMs: Math.trunc(1000 / (inputs.fps as number)),
      lossless: inputs.lossless as boolean,
      quality: inputs.quality as number,
      effort: METHODS[inputs.method as string] as number,
    });
    await writeFile(join(root, subfolder, filename), file);
    const ui = { images: [{ filename, subfolder, type: 'output' }], animated: [images.batch > 1] };
    return { outputs: [images], ui };
  },
};
