import { decode, encode } from 'fast-png';

/** Eight-bit pixels with 1 (grey), 3 or 4 channels. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Uint8Array;
  readonly text: Record<string, string>;
}

export function encodePng(pixels: Omit<Pixels, 'text'>, text: Record<string, string> = {}): Uint8Array {
  const { width, height, channels, data } = pixels;
  return encode({ width, height, channels, data, depth: 8, text }, { zlib: { level: 4 } });
}

/** Any image file as 8-bit pixels. Plain PNG is decoded here; sharp is loaded only for the rest, for it is slow to load. */
export async function decodeImage(file: Uint8Array): Promise<Pixels> {
  if (isPng(file)) {
    const png = decode(file);
    if (png.depth === 8 && png.palette === undefined && png.transparency === undefined && png.channels !== 2) {
      return {
        width: png.width,
        height: png.height,
        channels: png.channels,
        data: png.data as Uint8Array,
        text: png.text,
      };
    }
  }
  const { default: sharp } = await import('sharp');
  const { data, info } = await sharp(file)
    .rotate()
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, channels: info.channels, data, text: {} };
}

/** The same pixels with four channels. */
export function toRgba({ width, height, channels, data }: Omit<Pixels, 'text'>): Uint8Array {
  const rgba = new Uint8Array(width * height * 4);
  for (let i = 0; i < width * height; i++) {
    const from = i * channels;
    const grey = channels < 3;
    rgba[i * 4] = data[from] as number;
    rgba[i * 4 + 1] = data[grey ? from : from + 1] as number;
    rgba[i * 4 + 2] = data[grey ? from : from + 2] as number;
    rgba[i * 4 + 3] = channels === 4 ? (data[from + 3] as number) : channels === 2 ? (data[from + 1] as number) : 255;
  }
  return rgba;
}

const isPng = (file: Uint8Array) => file[0] === 0x89 && file[1] === 0x50 && file[2] === 0x4e && file[3] === 0x47;
