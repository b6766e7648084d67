import { newImage } from '../../pictures/image.ts';
import { newMask } from '../tensors.ts';
import { side } from './image.ts';
import { attribute, linked } from './linked.ts';
import type { NodeClass } from './node.ts';

export const solidMask: NodeClass = {
  name: 'SolidMask',
  displayName: 'Create Solid Mask',
  category: 'image/mask',
  module: 'comfy_extras.nodes_mask',
  outputs: ['MASK'],
  inputs: () => ({
    required: {
      value: ['FLOAT', { default: 1, min: 0, max: 1, step: 0.01 }],
      width: ['INT', side],
      height: ['INT', side],
    },
  }),
  run(inputs) {
    const [width, height] = [inputs.width as number, inputs.height as number];
    return { outputs: [newMask(width, height, new Float32Array(width * height).fill(inputs.value as number))] };
  },
};

export const maskToImage: NodeClass = {
  name: 'MaskToImage',
  displayName: 'Convert Mask to Image',
  category: 'image/mask',
  module: 'comfy_extras.nodes_mask',
  outputs: ['IMAGE'],
  inputs: () => ({ required: { mask: ['MASK', {}] } }),
  run(inputs) {
    const mask = linked(inputs, 'mask', 'MASK', attribute('reshape'));
    const image = newImage(mask.batch, mask.height, mask.width);
    for (let i = 0; i < image.data.length; i++) image.data[i] = mask.data[Math.floor(i / 3)] as number;
    return { outputs: [image] };
  },
};
