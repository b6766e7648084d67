import { encodePng } from '../comfyui/png.ts';
import { PythonError } from '../comfyui/python.ts';
import { readInitImage } from './init-image.ts';

/** Upscalers that are no models; those are not there. */
export const upscalers = ['None', 'Lanczos', 'Nearest'];

/** `/sdapi/v1/extra-single-image`: the picture, larger by `upscaling_resize`. Sides are multiples of 8, as in the program. */
export async function enlarge(
  request: Readonly<Record<string, unknown>>,
): Promise<{ html_info: string; image: string }> {
  const { image, upscaler_1: upscaler, upscaling_resize: factor } = request;
  const picture = await readInitImage([image]);
  const { channels, data } = picture;
  if (!upscalers.includes(String(upscaler)))
    throw new PythonError('AssertionError', `could not find upscaler named ${upscaler}`);
  const larger = (side: number) => (upscaler === 'None' ? side : Math.trunc((side * Number(factor)) / 8) * 8);
  const [width, height] = [larger(picture.width), larger(picture.height)];
  const pixels = new Uint8Array(width * height * channels);
  for (let y = 0; y < height; y++) {
    const row = Math.floor((y * picture.height) / height);
    for (let x = 0; x < width; x++) {
      const from = (row * picture.width + Math.floor((x * picture.width) / width)) * channels;
      pixels.set(data.subarray(from, from + channels), (y * width + x) * channels);
    }
  }
  const file = encodePng({ width, height, channels, data: pixels });
  return { html_info: '', image: Buffer.from(file).toString('base64') };
}
