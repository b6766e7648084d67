import { createHash } from 'node:crypto';
import { access, readFile } from 'node:fs/promises';
import { decodeImage, toRgba } from '../png.ts';
import type { Mask } from '../tensors.ts';
import { newImage } from '../tensors.ts';
import type { NodeClass, NodeWorld } from './node.ts';

const pathOf = (inputs: Record<string, unknown>, { folders }: NodeWorld) => folders.annotatedFile(String(inputs.image));

const checks: Pick<NodeClass, 'validate' | 'fingerprint'> = {
  validate: {
    names: ['image'],
    async check(inputs, world) {
      const file = pathOf(inputs, world);
      const exists =
        file !== undefined &&
        (await access(file).then(
          () => true,
          () => false,
        ));
      return exists || `Invalid image file: ${String(inputs.image)}`;
    },
  },
  async fingerprint(inputs, world) {
    const file = pathOf(inputs, world);
    return file === undefined
      ? ''
      : createHash('sha256')
          .update(await readFile(file))
          .digest('hex');
  },
};

async function readRgba(inputs: Record<string, unknown>, world: NodeWorld) {
  const pixels = await decodeImage(await readFile(pathOf(inputs, world) as string));
  return { ...pixels, alpha: pixels.channels === 4 || pixels.channels === 2, rgba: toRgba(pixels) };
}

function maskOf(width: number, height: number, value: (i: number) => number): Mask {
  return {
    kind: 'MASK',
    batch: 1,
    width,
    height,
    data: Float32Array.from({ length: width * height }, (_, i) => value(i)),
  };
}

export const loadImage: NodeClass = {
  name: 'LoadImage',
  displayName: 'Load Image',
  category: 'image',
  outputs: ['IMAGE', 'MASK'],
  inputs: ({ folders }) => ({ required: { image: [folders.inputFiles(), { image_upload: true }] } }),
  ...checks,
  async run(inputs, context) {
    const { width, height, alpha, rgba } = await readRgba(inputs, context);
    const image = newImage(1, height, width);
    for (let i = 0; i < width * height; i++) {
      for (let c = 0; c < 3; c++) image.data[i * 3 + c] = (rgba[i * 4 + c] as number) / 255;
    }
    // Without an alpha channel the real node hands out a blank mask of this fixed size.
    const mask = alpha
      ? maskOf(width, height, (i) => 1 - Math.fround((rgba[i * 4 + 3] as number) / 255))
      : maskOf(64, 64, () => 0);
    return { outputs: [image, mask] };
  },
};

const CHANNELS = ['alpha', 'red', 'green', 'blue'] as const;

export const loadImageMask: NodeClass = {
  name: 'LoadImageMask',
  displayName: 'Load Image (as Mask)',
  category: 'image',
  outputs: ['MASK'],
  inputs: ({ folders }) => ({
    required: { image: [folders.inputFiles(), { image_upload: true }], channel: [CHANNELS] },
  }),
  ...checks,
  async run(inputs, context) {
    const { width, height, alpha, rgba } = await readRgba(inputs, context);
    if (inputs.channel === 'alpha' && !alpha) return { outputs: [maskOf(64, 64, () => 0)] };
    const at = { red: 0, green: 1, blue: 2, alpha: 3 }[inputs.channel as (typeof CHANNELS)[number]];
    const flip = inputs.channel === 'alpha';
    return {
      outputs: [
        maskOf(width, height, (i) =>
          flip ? 1 - Math.fround((rgba[i * 4 + at] as number) / 255) : (rgba[i * 4 + at] as number) / 255,
        ),
      ],
    };
  },
};
