import { decodeImage, type Pixels } from '../pictures/png.ts';
import { HttpException } from './failure.ts';

/** The first of the pictures that img2img begins with: base64, with or without the head of a data URI. */
export async function readInitImage(images: unknown): Promise<Pixels> {
  if (!Array.isArray(images) || images.length === 0) throw new HttpException(404, 'Init image not found');
  const text = String(images[0]);
  if (/^https?:/.test(text)) throw new HttpException(500, 'Request to local resource not allowed');
  try {
    return await decodeImage(Buffer.from(text.replace(/^data:image\/[^,]*,/, ''), 'base64'));
  } catch {
    throw new HttpException(500, 'Invalid encoded image');
  }
}

/** Mixes a picture into another of any size: `strength` 1 leaves nothing of the first. */
export function mixInto(
  target: Uint8Array,
  size: { width: number; height: number },
  init: Pixels,
  strength: number,
): void {
  const { width, height } = size;
  for (let y = 0; y < height; y++) {
    const row = Math.floor((y * init.height) / height);
    for (let x = 0; x < width; x++) {
      const from = (row * init.width + Math.floor((x * init.width) / width)) * init.channels;
      const to = (y * width + x) * 3;
      for (let c = 0; c < 3; c++) {
        const before = init.data[from + (init.channels < 3 ? 0 : c)] as number;
        target[to + c] = Math.round((target[to + c] as number) * strength + before * (1 - strength));
      }
    }
  }
}
