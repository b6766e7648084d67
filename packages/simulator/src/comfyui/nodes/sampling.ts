import { encodeJpeg, paintPicture } from '../../pictures/picture.ts';
import { PythonError } from '../../python/values.ts';
import { hashText } from '../../random.ts';
import type { Latent, ModelHandle } from '../tensors.ts';
import { attribute, item, linked } from './linked.ts';
import type { NodeClass, NodeContext, Preview } from './node.ts';

const symbol = (kind: ModelHandle['kind'], ...from: unknown[]): ModelHandle => ({
  kind,
  hash: hashText(JSON.stringify([kind, ...from])),
});
const NO_CLIP =
  'ERROR: clip input is invalid: None\n\nIf the clip is from a checkpoint loader node your checkpoint does not contain a valid clip or text encoder model.';
const side = (tooltip: string) => ({ default: 512, min: 16, max: 16384, step: 8, tooltip });

export const checkpointLoaderSimple: NodeClass = {
  name: 'CheckpointLoaderSimple',
  displayName: 'Load Checkpoint',
  category: 'loaders',
  outputs: ['MODEL', 'CLIP', 'VAE'],
  inputs: ({ folders, simulation }) => ({
    required: {
      ckpt_name: [
        [...new Set([...simulation.checkpoints, ...folders.models('checkpoints')])],
        { tooltip: 'The name of the checkpoint (model) to load.' },
      ],
    },
  }),
  run: ({ ckpt_name }, { simulation }) => ({
    outputs: (['MODEL', 'CLIP', 'VAE'] as const).map((kind) => symbol(kind, ckpt_name, simulation.seed)),
  }),
};

export const clipTextEncode: NodeClass = {
  name: 'CLIPTextEncode',
  displayName: 'CLIP Text Encode (Prompt)',
  category: 'conditioning',
  outputs: ['CONDITIONING'],
  inputs: () => ({
    required: {
      text: ['STRING', { multiline: true, dynamicPrompts: true }],
      clip: ['CLIP', { tooltip: 'The CLIP model used for encoding the text.' }],
    },
  }),
  run(inputs) {
    const clip = linked(inputs, 'clip', 'CLIP', (literal) => {
      if (literal === null) throw new PythonError('RuntimeError', NO_CLIP);
      return attribute('tokenize')(literal);
    });
    return { outputs: [symbol('CONDITIONING', inputs.text, clip.hash)] };
  },
};

export const emptyLatentImage: NodeClass = {
  name: 'EmptyLatentImage',
  displayName: 'Empty Latent Image',
  category: 'latent',
  outputs: ['LATENT'],
  inputs: () => ({
    required: {
      width: ['INT', side('The width of the latent images in pixels.')],
      height: ['INT', side('The height of the latent images in pixels.')],
      batch_size: ['INT', { default: 1, min: 1, max: 4096, tooltip: 'The number of latent images in the batch.' }],
    },
  }),
  run(inputs) {
    const [width, height] = [inputs.width as number, inputs.height as number].map(
      (size) => Math.floor(size / 8) * 8,
    ) as [number, number];
    const latent: Latent = { kind: 'LATENT', batch: inputs.batch_size as number, width, height, hash: 0 };
    return { outputs: [latent] };
  },
};

const SAMPLERS =
  'euler euler_cfg_pp euler_ancestral heun heunpp2 dpm_2 dpm_2_ancestral lms dpm_fast dpm_adaptive dpmpp_2s_ancestral dpmpp_sde dpmpp_sde_gpu dpmpp_2m dpmpp_2m_sde dpmpp_2m_sde_gpu dpmpp_3m_sde dpmpp_3m_sde_gpu ddpm lcm ipndm deis res_multistep gradient_estimation er_sde seeds_2 seeds_3 sa_solver ddim uni_pc uni_pc_bh2'.split(
    ' ',
  );
const SCHEDULERS = [
  'simple',
  'sgm_uniform',
  'karras',
  'exponential',
  'ddim_uniform',
  'beta',
  'normal',
  'linear_quadratic',
  'kl_optimal',
];

export const kSampler: NodeClass = {
  name: 'KSampler',
  displayName: 'KSampler',
  category: 'sampling',
  description: 'Uses the provided model, positive and negative conditioning to denoise the latent image.',
  outputs: ['LATENT'],
  inputs: () => ({
    required: {
      model: ['MODEL', { tooltip: 'The model used for denoising the input latent.' }],
      seed: ['INT', { default: 0, min: 0, max: 2 ** 64, control_after_generate: true }],
      steps: ['INT', { default: 20, min: 1, max: 10000 }],
      cfg: ['FLOAT', { default: 8, min: 0, max: 100, step: 0.1, round: 0.01 }],
      sampler_name: [SAMPLERS, {}],
      scheduler: [SCHEDULERS, {}],
      positive: ['CONDITIONING', {}],
      negative: ['CONDITIONING', {}],
      latent_image: ['LATENT', {}],
      denoise: ['FLOAT', { default: 1, min: 0, max: 1, step: 0.01 }],
    },
  }),
  async run(inputs, context) {
    const latent = linked(inputs, 'latent_image', 'LATENT', item('samples', 'shape'));
    linked(inputs, 'model', 'MODEL', attribute('get_model_object'));
    for (const name of ['positive', 'negative']) linked(inputs, name, 'CONDITIONING', item(0, 'copy'));
    const parts = Object.entries(inputs).map(([name, value]) => [name, (value as ModelHandle | null)?.hash ?? value]);
    const hash = hashText(JSON.stringify([parts, context.simulation.seed]));
    const steps = inputs.steps as number;
    for (let step = 1; step <= steps; step++) {
      await context.beforeStep(step);
      await context.work(context.simulation.stepMs);
      context.progress(step, steps, await latentPreview(hash, latent, 1 - step / steps, context));
    }
    return { outputs: [{ ...latent, hash }] };
  },
};

/** A latent has an eighth of the picture's size, and so have its previews, up to the limit. */
async function latentPreview(
  hash: number,
  latent: Latent,
  noise: number,
  { previewSize }: NodeContext,
): Promise<Preview | undefined> {
  if (previewSize === undefined) return undefined;
  const shrink = Math.max(8, Math.max(latent.width, latent.height) / previewSize);
  const picture = paintPicture(
    hash,
    1,
    Math.max(1, Math.round(latent.width / shrink)),
    Math.max(1, Math.round(latent.height / shrink)),
    noise,
  );
  return { type: 'image/jpeg', bytes: await encodeJpeg(picture) };
}

export const vaeDecode: NodeClass = {
  name: 'VAEDecode',
  displayName: 'VAE Decode',
  category: 'latent',
  outputs: ['IMAGE'],
  inputs: () => ({
    required: {
      samples: ['LATENT', { tooltip: 'The latent to be decoded.' }],
      vae: ['VAE', { tooltip: 'The VAE model used for decoding the latent.' }],
    },
  }),
  run(inputs) {
    const { hash, batch, width, height } = linked(inputs, 'samples', 'LATENT', item('samples', 'shape'));
    const vae = linked(inputs, 'vae', 'VAE', attribute('decode'));
    return { outputs: [paintPicture(hashText(`${hash} ${vae.hash}`), batch, width, height)] };
  },
};

export const vaeEncode: NodeClass = {
  name: 'VAEEncode',
  displayName: 'VAE Encode',
  category: 'latent',
  outputs: ['LATENT'],
  inputs: () => ({ required: { pixels: ['IMAGE'], vae: ['VAE'] } }),
  run(inputs) {
    const vae = linked(inputs, 'vae', 'VAE', attribute('encode'));
    const { batch, width, height, data } = linked(inputs, 'pixels', 'IMAGE', attribute('shape'));
    const hash = hashText(`${data.slice(0, 4096).join()} ${vae.hash}`);
    return {
      outputs: [
        {
          kind: 'LATENT',
          batch,
          width: Math.floor(width / 8) * 8,
          height: Math.floor(height / 8) * 8,
          hash,
        } satisfies Latent,
      ],
    };
  },
};
