import type { Checkpoint } from './checkpoints.ts';
import type { Fields } from './fields.ts';

export const samplers = ['DPM++ 2M', 'DPM++ SDE', 'DPM++ 2M SDE', 'Euler a', 'Euler', 'LMS', 'Heun', 'DDIM', 'UniPC'];
export const schedulers = ['automatic', 'uniform', 'karras', 'exponential', 'sgm_uniform', 'simple', 'normal', 'beta'];

/** An unknown sampler is no error: it becomes the first. */
export function samplerOf({ sampler_name, sampler_index }: Fields): string {
  const wanted = String(sampler_name ?? sampler_index);
  return samplers.find((name) => name === wanted || wanted.startsWith(`${name} `)) ?? (samplers[0] as string);
}

interface InfoOptions {
  readonly request: Fields;
  readonly checkpoint: Checkpoint;
  readonly seeds: readonly number[];
  readonly version: string;
  readonly timestamp: string;
  readonly firstImage: number;
}

/** What a picture carries in its `parameters`. */
export function infotext({ request, checkpoint, version }: InfoOptions, seed: number): string {
  const { prompt, negative_prompt, steps, cfg_scale, width, height } = request;
  const negative = negative_prompt === '' ? [] : [`Negative prompt: ${negative_prompt}`];
  const facts = [
    `Steps: ${steps}`,
    `Sampler: ${samplerOf(request)}`,
    'Schedule type: Automatic',
    `CFG scale: ${cfg_scale}`,
    `Seed: ${seed}`,
    `Size: ${width}x${height}`,
    `Model hash: ${checkpoint.hash}`,
    `Model: ${checkpoint.model_name}`,
    `Version: ${version}`,
  ];
  return [String(prompt), ...negative, facts.join(', ')].join('\n');
}

/** The `info` of an answer: an object as a text. */
export function infoOf(options: InfoOptions): string {
  const { request, checkpoint, seeds, version, timestamp, firstImage } = options;
  return JSON.stringify({
    prompt: request.prompt,
    all_prompts: seeds.map(() => request.prompt),
    negative_prompt: request.negative_prompt,
    all_negative_prompts: seeds.map(() => request.negative_prompt),
    seed: seeds[0],
    all_seeds: seeds,
    subseed: request.subseed,
    all_subseeds: seeds.map(() => request.subseed),
    subseed_strength: request.subseed_strength,
    width: request.width,
    height: request.height,
    sampler_name: samplerOf(request),
    cfg_scale: request.cfg_scale,
    steps: request.steps,
    batch_size: request.batch_size,
    restore_faces: false,
    face_restoration_model: null,
    sd_model_name: checkpoint.model_name,
    sd_model_hash: checkpoint.hash,
    sd_vae_name: null,
    sd_vae_hash: null,
    seed_resize_from_w: request.seed_resize_from_w,
    seed_resize_from_h: request.seed_resize_from_h,
    denoising_strength: request.denoising_strength,
    extra_generation_params: {},
    index_of_first_image: firstImage,
    infotexts: seeds.map((seed) => infotext(options, seed)),
    styles: [],
    job_timestamp: timestamp,
    clip_skip: 1,
    is_using_inpainting_conditioning: false,
    version,
  });
}
