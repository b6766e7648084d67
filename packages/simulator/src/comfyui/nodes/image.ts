import { type Image, newImage } from '../../pictures/image.ts';
import { noDifference, PythonError } from '../../python/values.ts';
import { resample, UPSCALE_METHODS, type UpscaleMethod } from '../resample.ts';
import { attribute, linked } from './linked.ts';
import type { NodeClass } from './node.ts';

/** Configuration of a width or height. */
export const side = { default: 512, min: 1, max: 16384, step: 1 };

export const emptyImage: NodeClass = {
  name: 'EmptyImage',
  displayName: 'Empty Image',
  category: 'image',
  outputs: ['IMAGE'],
  inputs: () => ({
    required: {
      width: ['INT', side],
      height: ['INT', side],
      batch_size: ['INT', { default: 1, min: 1, max: 4096 }],
      color: ['INT', { default: 0, min: 0, max: 0xffffff, step: 1, display: 'color' }],
    },
  }),
  run(inputs) {
    const color = inputs.color as number;
    const image = newImage(inputs.batch_size as number, inputs.height as number, inputs.width as number);
    const rgb = [(color >> 16) & 255, (color >> 8) & 255, color & 255].map((value) => value / 255);
    for (let i = 0; i < image.data.length; i++) image.data[i] = rgb[i % 3] as number;
    return { outputs: [image] };
  },
};

export const imageInvert: NodeClass = {
  name: 'ImageInvert',
  displayName: 'Invert Image Colors',
  category: 'image/color',
  outputs: ['IMAGE'],
  inputs: () => ({ required: { image: ['IMAGE'] } }),
  run(inputs) {
    if (typeof inputs.image === 'number') return { outputs: [1 - inputs.image] };
    const image = linked(inputs, 'image', 'IMAGE', (literal) => {
      throw noDifference('float', literal);
    });
    return { outputs: [{ ...image, data: image.data.map((value) => 1 - value) }] };
  },
};

/** Resizes as `common_upscale` does: `center` first crops to the wanted proportions. */
export function upscale(image: Image, width: number, height: number, method: UpscaleMethod, crop: string): Image {
  if (crop !== 'center') return resample(image, width, height, method);
  const [oldAspect, newAspect] = [image.width / image.height, width / height];
  const x = oldAspect > newAspect ? pythonRound((image.width - image.width * (newAspect / oldAspect)) / 2) : 0;
  const y = oldAspect < newAspect ? pythonRound((image.height - image.height * (oldAspect / newAspect)) / 2) : 0;
  const part = newImage(image.batch, image.height - 2 * y, image.width - 2 * x, image.channels);
  const line = part.width * part.channels;
  for (let row = 0; row < part.batch * part.height; row++) {
    const [b, r] = [Math.floor(row / part.height), row % part.height];
    const from = ((b * image.height + r + y) * image.width + x) * image.channels;
    part.data.set(image.data.subarray(from, from + line), row * line);
  }
  return resample(part, width, height, method);
}

/** Halves go to the even neighbour. */
function pythonRound(value: number): number {
  const floor = Math.floor(value);
  return value - floor === 0.5 ? floor + (floor % 2) : Math.round(value);
}

export const imageScale: NodeClass = {
  name: 'ImageScale',
  displayName: 'Upscale Image',
  category: 'image/upscaling',
  outputs: ['IMAGE'],
  inputs: () => ({
    required: {
      image: ['IMAGE'],
      upscale_method: [UPSCALE_METHODS],
      width: ['INT', { ...side, min: 0 }],
      height: ['INT', { ...side, min: 0 }],
      crop: [['disabled', 'center']],
    },
  }),
  run(inputs) {
    const image = linked(inputs, 'image', 'IMAGE', attribute('movedim'));
    let [width, height] = [inputs.width as number, inputs.height as number];
    if (width === 0 && height === 0) return { outputs: [image] };
    if (width === 0) width = Math.max(1, pythonRound((image.width * height) / image.height));
    if (height === 0) height = Math.max(1, pythonRound((image.height * width) / image.width));
    return { outputs: [upscale(image, width, height, inputs.upscale_method as UpscaleMethod, inputs.crop as string)] };
  },
};

export const imageScaleBy: NodeClass = {
  name: 'ImageScaleBy',
  displayName: 'Upscale Image By',
  category: 'image/upscaling',
  outputs: ['IMAGE'],
  inputs: () => ({
    required: {
      image: ['IMAGE'],
      upscale_method: [UPSCALE_METHODS],
      scale_by: ['FLOAT', { default: 1, min: 0.01, max: 8, step: 0.01 }],
    },
  }),
  run(inputs) {
    const image = linked(inputs, 'image', 'IMAGE', attribute('movedim'));
    const by = inputs.scale_by as number;
    const method = inputs.upscale_method as UpscaleMethod;
    const [width, height] = [pythonRound(image.width * by), pythonRound(image.height * by)];
    if (width === 0 || height === 0) {
      if (method === 'lanczos') throw new PythonError('ValueError', 'height and width must be > 0');
      const sizes = `input (H: ${image.height}, W: ${image.width}) output (H: ${height}, W: ${width})`;
      throw new PythonError('RuntimeError', `Input and output sizes should be greater than 0, but got ${sizes}`);
    }
    return { outputs: [resample(image, width, height, method)] };
  },
};
