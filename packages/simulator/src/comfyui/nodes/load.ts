import { createHash } from 'node:crypto';
import { access, readFile } from 'node:fs/promises';
import { newImage } from '../../pictures/image.ts';
import { decodeImage, toRgba } from '../../pictures/png.ts';
import { type Mask, newMask } from '../tensors.ts';
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

interface Picture {
  readonly width: number;
  readonly height: number;
  readonly hasAlpha: boolean;
  readonly rgba: Uint8Array;
}

async function readPicture(inputs: Record<string, unknown>, world: NodeWorld): Promise<Picture> {
  const pixels = await decodeImage(await readFile(pathOf(inputs, world) as string));
  const { width, height, channels } = pixels;
  return { width, height, hasAlpha: channels === 4 || channels === 2, rgba: toRgba(pixels) };
}

/** One of the four channels. */
function channelMask({ width, height, rgba }: Picture, at: number): Mask {
  const data = Float32Array.from({ length: width * height }, (_, i) => (rgba[i * 4 + at] as number) / 255);
  return newMask(width, height, data);
}

/** Masked is what cannot be seen. Without an alpha channel the real nodes hand out a blank mask of this fixed size. */
function alphaMask(picture: Picture): Mask {
  if (!picture.hasAlpha) return newMask(64, 64, new Float32Array(64 * 64));
  const alpha = channelMask(picture, 3);
  return { ...alpha, data: alpha.data.map((value) => 1 - value) };
}

export const loadImage: NodeClass = {
  name: 'LoadImage',
  displayName: 'Load Image',
  category: 'image',
  outputs: ['IMAGE', 'MASK'],
  inputs: ({ folders }) => ({ required: { image: [folders.inputFiles(), { image_upload: true }] } }),
  ...checks,
  async run(inputs, context) {
    const picture = await readPicture(inputs, context);
    const { width, height, rgba } = picture;
    const image = newImage(1, height, width);
    for (let i = 0; i < width * height; i++) {
      for (let c = 0; c < 3; c++) image.data[i * 3 + c] = (rgba[i * 4 + c] as number) / 255;
    }
    return { outputs: [image, alphaMask(picture)] };
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
    const picture = await readPicture(inputs, context);
    const channel = inputs.channel as (typeof CHANNELS)[number];
    const mask =
      channel === 'alpha' ? alphaMask(picture) : channelMask(picture, { red: 0, green: 1, blue: 2 }[channel]);
    return { outputs: [mask] };
  },
};
