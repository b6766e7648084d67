import type { ProducedFile } from '@mgpu/core/jobs';
import type { Generated } from '../client/types.ts';

interface Format {
  readonly mediaType: string;
  readonly extension: string;
}

const png = { mediaType: 'image/png', extension: 'png' };

/** By their first bytes: the engine names no type. */
export function formatOf(image: Uint8Array): Format {
  const head = Buffer.from(image.subarray(0, 12)).toString('latin1');
  if (head.startsWith('\x89PNG')) return png;
  if (head.startsWith('\xff\xd8\xff')) return { mediaType: 'image/jpeg', extension: 'jpg' };
  if (/^RIFF....WEBP/s.test(head)) return { mediaType: 'image/webp', extension: 'webp' };
  return { mediaType: 'application/octet-stream', extension: 'bin' };
}

/** The pictures as files: grids, samples by their seed, and what scripts such as ControlNet added. */
export function filesOf(kind: string, { images, firstImage, seeds }: Generated): ProducedFile[] {
  return images.map((image, at) => {
    const { mediaType, extension } = formatOf(image);
    const sample = at - firstImage;
    const seed = sample < 0 ? undefined : seeds[sample];
    const role = sample < 0 ? 'grid' : seed === undefined ? 'extra' : 'sample';
    const name = seed === undefined ? role : String(seed);
    return {
      name: `${kind}/${String(at).padStart(3, '0')}-${name}.${extension}`,
      mediaType,
      origin: { role, ...(seed === undefined ? {} : { seed: String(seed) }) },
      source: { stream: once(image) },
    };
  });
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
