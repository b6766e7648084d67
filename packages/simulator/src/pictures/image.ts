/** Pictures of one size, as real 32-bit floats in [0, 1], as torch tensors hold them. */
export interface Image {
  readonly kind: 'IMAGE';
  readonly batch: number;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  /** Batch, row, column, channel. */
  readonly data: Float32Array;
}

export function newImage(batch: number, height: number, width: number, channels = 3): Image {
  return { kind: 'IMAGE', batch, width, height, channels, data: new Float32Array(batch * height * width * channels) };
}

/** One image of a batch as 8-bit samples, the way the engines save: 255 times the value, clipped, fraction cut off. */
export function toBytes(image: Image, index: number): Uint8Array {
  const size = image.width * image.height * image.channels;
  const bytes = new Uint8Array(size);
  const offset = index * size;
  for (let i = 0; i < size; i++) {
    const value = Math.fround(255 * (image.data[offset + i] as number));
    bytes[i] = Math.min(255, Math.max(0, value));
  }
  return bytes;
}
