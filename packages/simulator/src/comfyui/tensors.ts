/** What flows between simulated nodes. Images and masks hold real 32-bit floats in [0, 1], as torch tensors do. */
export interface Image {
  readonly kind: 'IMAGE';
  readonly batch: number;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  /** Batch, row, column, channel. */
  readonly data: Float32Array;
}
export interface Mask {
  readonly kind: 'MASK';
  readonly batch: number;
  readonly width: number;
  readonly height: number;
  readonly data: Float32Array;
}
/** Latents and models are only remembered by what produced them: `hash` decides the picture. */
export interface Latent {
  readonly kind: 'LATENT';
  readonly batch: number;
  /** In pixels of the decoded image. */
  readonly width: number;
  readonly height: number;
  readonly hash: number;
}
interface Handle<Kind extends string> {
  readonly kind: Kind;
  readonly hash: number;
}
export type ModelHandle = Handle<'MODEL'> | Handle<'CLIP'> | Handle<'VAE'> | Handle<'CONDITIONING'>;

export function newImage(batch: number, height: number, width: number, channels = 3): Image {
  return { kind: 'IMAGE', batch, width, height, channels, data: new Float32Array(batch * height * width * channels) };
}

export const newMask = (width: number, height: number, data: Float32Array): Mask => ({
  kind: 'MASK',
  batch: 1,
  width,
  height,
  data,
});

/** One image of a batch as 8-bit samples, the way ComfyUI saves: 255 times the value, clipped, fraction cut off. */
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
