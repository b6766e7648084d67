export type Link = [node: string, slot: number];

let last = 0;
/** A colour that no prompt has had, so that nothing comes from the cache. */
export const freshColour = (): number => (Date.now() + last++) % 0xffffff;

export const emptyImage = (inputs: Record<string, unknown> = {}) => ({
  class_type: 'EmptyImage',
  inputs: { width: 64, height: 48, batch_size: 1, color: freshColour(), ...inputs },
});
export const invert = (image: Link) => ({ class_type: 'ImageInvert', inputs: { image } });
export const save = (images: Link, prefix = 'test/image') => ({
  class_type: 'SaveImage',
  inputs: { images, filename_prefix: prefix },
});
export const preview = (images: Link) => ({ class_type: 'PreviewImage', inputs: { images } });
export const slow = (image: Link, inputs: Record<string, unknown> = {}) => ({
  class_type: 'SlowNode',
  inputs: { image, seconds: 30, steps: 30, seed: freshColour(), ...inputs },
});

/** One plain image, saved. */
export const single = (inputs: Record<string, unknown> = {}, prefix?: string) => ({
  1: emptyImage(inputs),
  2: save(['1', 0], prefix),
});
/** Empty, inverted, saved. */
export const minimal = (inputs: Record<string, unknown> = {}, prefix?: string) => ({
  1: emptyImage(inputs),
  2: invert(['1', 0]),
  3: save(['2', 0], prefix),
});
/** A job that lasts until it is interrupted. */
export const endless = (inputs: Record<string, unknown> = {}) => ({
  1: emptyImage(),
  2: slow(['1', 0], inputs),
  3: save(['2', 0]),
});

/** The usual text-to-image graph, which only the simulator can run without weights. */
export const sampled = (sampler: Record<string, unknown> = {}, size = 64) => ({
  1: { class_type: 'CheckpointLoaderSimple', inputs: { ckpt_name: 'v1-5-pruned-emaonly-fp16.safetensors' } },
  2: { class_type: 'CLIPTextEncode', inputs: { text: 'a lighthouse', clip: ['1', 1] } },
  3: { class_type: 'CLIPTextEncode', inputs: { text: 'blurry', clip: ['1', 1] } },
  4: { class_type: 'EmptyLatentImage', inputs: { width: size, height: size, batch_size: 1 } },
  5: {
    class_type: 'KSampler',
    inputs: {
      model: ['1', 0],
      positive: ['2', 0],
      negative: ['3', 0],
      latent_image: ['4', 0],
      seed: freshColour(),
      steps: 4,
      cfg: 7,
      sampler_name: 'euler',
      scheduler: 'normal',
      denoise: 1,
      ...sampler,
    },
  },
  6: { class_type: 'VAEDecode', inputs: { samples: ['5', 0], vae: ['1', 2] } },
  7: save(['6', 0], 'test/sampled'),
});
