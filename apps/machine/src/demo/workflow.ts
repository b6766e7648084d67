import type { ComfyUIJobInput } from '@mgpu/comfyui';

/** A small ComfyUI workflow in API format, another picture for each number: sampled, inverted beside itself, saved. */
export function demoWorkflow(number: number): ComfyUIJobInput['prompt'] {
  return {
    '1': { class_type: 'CheckpointLoaderSimple', inputs: { ckpt_name: 'v1-5-pruned-emaonly-fp16.safetensors' } },
    '2': { class_type: 'CLIPTextEncode', inputs: { clip: ['1', 1], text: `a calm machine, number ${number}` } },
    '3': { class_type: 'CLIPTextEncode', inputs: { clip: ['1', 1], text: 'noise' } },
    '4': { class_type: 'EmptyLatentImage', inputs: { width: 256, height: 256, batch_size: 1 } },
    '5': {
      class_type: 'KSampler',
      inputs: {
        model: ['1', 0],
        positive: ['2', 0],
        negative: ['3', 0],
        latent_image: ['4', 0],
        seed: 42 + number,
        steps: 12,
        cfg: 7,
        sampler_name: 'euler',
        scheduler: 'normal',
        denoise: 1,
      },
    },
    '6': { class_type: 'VAEDecode', inputs: { samples: ['5', 0], vae: ['1', 2] } },
    '7': { class_type: 'SaveImage', inputs: { images: ['6', 0], filename_prefix: `demo/gpu${number}` } },
    '8': { class_type: 'EmptyImage', inputs: { width: 64, height: 48, batch_size: 1, color: 0xff0000 } },
    '9': { class_type: 'ImageInvert', inputs: { image: ['8', 0] } },
    '10': { class_type: 'SaveImage', inputs: { images: ['9', 0], filename_prefix: `demo/inverted${number}` } },
  };
}
