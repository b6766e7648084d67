import { isAbsolute } from 'node:path';
import { problemsOf } from '@mgpu/core/jobs';
import { z } from 'zod';
import { A1111InputInvalidError } from '../errors.ts';

const side = z.number().int().min(16).max(16_384);
const count = z.number().int().min(1).max(1_000);

/** Fields that everybody gives, checked before an engine has the job; all others are passed on, and the engine checks them. */
const request = z.looseObject({
  prompt: z.string().optional(),
  negative_prompt: z.string().optional(),
  seed: z.number().int().optional(),
  steps: count.optional(),
  width: side.optional(),
  height: side.optional(),
  cfg_scale: z.number().optional(),
  sampler_name: z.string().nullish(),
  scheduler: z.string().nullish(),
  batch_size: count.optional(),
  n_iter: count.optional(),
  denoising_strength: z.number().min(0).max(1).nullish(),
  override_settings: z.record(z.string(), z.unknown()).nullish(),
});

/** The engine would fetch what it is given as a URL, from whatever network it is in. */
const embedded = z.string().refine((text) => !/^[a-z]+:\/\//i.test(text), 'must be base64, not a URL');
const path = z.string().refine(isAbsolute, 'must be absolute');

const img2img = request.extend({ init_images: z.array(embedded).optional(), mask: embedded.nullish() });

/** What a job of type `a1111` asks for. */
export const a1111JobInputSchema = z.union(
  [
    z.strictObject({ txt2img: request.describe('Body of /sdapi/v1/txt2img') }),
    z
      .strictObject({
        img2img: img2img.describe('Body of /sdapi/v1/img2img'),
        images: z.array(path).default([]).describe('Pictures to begin with, on the machine that runs the job'),
        mask: path.optional().describe('Picture of what is painted anew, on the machine that runs the job'),
      })
      .refine(({ images, img2img: { init_images = [] } }) => images.length + init_images.length > 0, {
        path: ['images'],
        message: 'an img2img job needs a picture',
      }),
  ],
  { error: 'must be { txt2img: { … } } or { img2img: { … }, images: [ … ] }' },
);

export type A1111JobInput = z.input<typeof a1111JobInputSchema>;
export type ReadJobInput = z.output<typeof a1111JobInputSchema>;

const maxProblems = 5;

/** `A1111_INPUT_INVALID` names each problem with its path. */
export function readJobInput(input: unknown): ReadJobInput {
  // Of a union nothing is told but that neither fits: which one is meant is plain.
  const [text, image] = a1111JobInputSchema.options;
  const isImage = typeof input === 'object' && input !== null && 'img2img' in input;
  const isText = typeof input === 'object' && input !== null && 'txt2img' in input;
  const parsed = (isImage ? image : isText ? text : a1111JobInputSchema).safeParse(input);
  if (parsed.success) return parsed.data;
  throw new A1111InputInvalidError({ problems: problemsOf(parsed.error, 'input').slice(0, maxProblems) });
}
