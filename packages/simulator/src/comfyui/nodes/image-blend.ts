import { type Image, newImage } from '../../pictures/image.ts';
import { PythonError } from '../../python/values.ts';
import { upscale } from './image.ts';
import { attribute, linked } from './linked.ts';
import type { NodeClass } from './node.ts';

const f = Math.fround;

// In 32-bit steps, as torch computes: saving cuts fractions off, so that the last bit decides about whole pixel values.
const MODES: Record<string, (a: number, b: number) => number> = {
  normal: (_a, b) => b,
  multiply: (a, b) => f(a * b),
  screen: (a, b) => f(1 - f(f(1 - a) * f(1 - b))),
  overlay: (a, b) => (a <= 0.5 ? f(f(2 * a) * b) : f(1 - f(f(2 * f(1 - a)) * f(1 - b)))),
  soft_light: (a, b) =>
    b <= 0.5 ? f(a - f(f(f(1 - f(2 * b)) * a) * f(1 - a))) : f(a + f(f(f(2 * b) - 1) * f(softLightCurve(a) - a))),
  difference: (a, b) => f(a - b),
};

const softLightCurve = (x: number) => (x <= 0.25 ? f(f(f(f(f(16 * x) - 12) * x) + 4) * x) : f(Math.sqrt(x)));

export const imageBlend: NodeClass = {
  name: 'ImageBlend',
  displayName: 'Blend Images',
  category: 'image/filters',
  module: 'comfy_extras.nodes_post_processing',
  outputs: ['IMAGE'],
  inputs: () => ({
    required: {
      image1: ['IMAGE', {}],
      image2: ['IMAGE', {}],
      blend_factor: ['FLOAT', { default: 0.5, min: 0, max: 1, step: 0.01 }],
      blend_mode: ['COMBO', { multiselect: false, options: Object.keys(MODES) }],
    },
  }),
  run(inputs) {
    const first = linked(inputs, 'image1', 'IMAGE', attribute('shape'));
    const second = sameSize(linked(inputs, 'image2', 'IMAGE', attribute('shape')), first);
    const mode = MODES[inputs.blend_mode as string] as (a: number, b: number) => number;
    const factor = inputs.blend_factor as number;
    const [keep, take] = [f(1 - factor), f(factor)];
    const blended = newImage(commonBatch(first, second), first.height, first.width, first.channels);
    // A single image is broadcast over the batch of the other.
    for (let i = 0; i < blended.data.length; i++) {
      const a = first.data[i % first.data.length] as number;
      const b = second.data[i % second.data.length] as number;
      blended.data[i] = Math.min(1, Math.max(0, f(a * keep) + f(mode(a, b) * take)));
    }
    return { outputs: [blended] };
  },
};

function sameSize(image: Image, like: Image): Image {
  if (image.width === like.width && image.height === like.height) return image;
  return upscale(image, like.width, like.height, 'bicubic', 'center');
}

function commonBatch({ batch: a }: Image, { batch: b }: Image): number {
  if (a === b || a === 1 || b === 1) return Math.max(a, b);
  throw new PythonError(
    'RuntimeError',
    `The size of tensor a (${a}) must match the size of tensor b (${b}) at non-singleton dimension 0`,
  );
}
