import { seededRandom } from '../random.ts';
import { type Image, newImage, toBytes } from './image.ts';

/**
 * The picture that a seed "samples" to: a few soft coloured waves. `noise` from 1 to 0 imitates how far sampling is.
 * Smooth on purpose: it compresses quickly, so that a simulated job costs little.
 */
export function paintPicture(hash: number, batch: number, width: number, height: number, noise = 0): Image {
  const image = newImage(batch, height, width);
  for (let b = 0; b < batch; b++) {
    const random = seededRandom(hash + b * 7919);
    const wave = () => ({ x: (random() - 0.5) * 8, y: (random() - 0.5) * 8, phase: random() * 6.283 });
    const waves = [wave(), wave(), wave()];
    const grain = seededRandom(hash ^ 0x5bd1e995);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const at = ((b * height + y) * width + x) * 3;
        for (let c = 0; c < 3; c++) {
          const { x: fx, y: fy, phase } = waves[c] as ReturnType<typeof wave>;
          const value = 0.5 + 0.5 * Math.sin((fx * x) / width + (fy * y) / height + phase);
          image.data[at + c] = noise === 0 ? value : value * (1 - noise) + grain() * noise;
        }
      }
    }
  }
  return image;
}

/** A picture as a JPEG file, for latent previews. */
export async function encodeJpeg(image: Image): Promise<Uint8Array> {
  const { default: sharp } = await import('sharp');
  return sharp(toBytes(image, 0), { raw: { width: image.width, height: image.height, channels: 3 } })
    .jpeg({ quality: 95 })
    .toBuffer();
}

/** All pictures of a batch as one WebP file, moving if there are several. */
export async function encodeWebp(
  image: Image,
  options: { frameMs: number; lossless: boolean; quality: number; effort: number },
): Promise<Uint8Array> {
  const { default: sharp } = await import('sharp');
  const { batch, width, height } = image;
  const { frameMs, lossless, quality, effort } = options;
  const frames = Array.from({ length: batch }, (_, i) => toBytes(image, i));
  return sharp(Buffer.concat(frames), { raw: { width, height: height * batch, channels: 3, pageHeight: height } })
    .webp({ lossless, quality: Math.max(1, quality), effort, delay: frames.map(() => frameMs) })
    .toBuffer();
}
