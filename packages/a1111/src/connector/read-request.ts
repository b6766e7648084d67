import { readFile, stat } from 'node:fs/promises';
import type { GenerationRequest, Img2imgRequest } from '../client/types.ts';
import { A1111ImageMissingError } from '../errors.ts';
import type { ReadJobInput } from './job-input.ts';

const maxImageBytes = 64 * 1024 * 1024;

/** A job as the engine takes it. */
export type EngineRequest =
  | { readonly kind: 'txt2img'; readonly body: GenerationRequest }
  | { readonly kind: 'img2img'; readonly body: Img2imgRequest };

/** Brings the job's pictures into its request. Throws `A1111_IMAGE_MISSING`. */
export async function readRequest(input: ReadJobInput, signal: AbortSignal): Promise<EngineRequest> {
  if ('txt2img' in input) return { kind: 'txt2img', body: withoutNothing(input.txt2img) };
  const { img2img, images, mask } = input;
  const { init_images = [], ...rest } = img2img;
  const read: string[] = [];
  for (const path of images) read.push(await readImage(path, signal));
  const masked = mask === undefined ? {} : { mask: await readImage(mask, signal) };
  return { kind: 'img2img', body: { ...withoutNothing(rest), init_images: [...read, ...init_images], ...masked } };
}

/** What is undefined is not there in JSON either. */
const withoutNothing = (fields: Readonly<Record<string, unknown>>): GenerationRequest =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

async function readImage(path: string, signal: AbortSignal): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > maxImageBytes)
      throw new A1111ImageMissingError({ path, problem: `${size} bytes are above the limit of 64 MB` });
    return (await readFile(path, { signal })).toString('base64');
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof A1111ImageMissingError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    throw new A1111ImageMissingError({ path, problem: code ?? message });
  }
}
