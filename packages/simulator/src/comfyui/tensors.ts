/** What flows between simulated nodes besides images. Masks hold real 32-bit floats in [0, 1], as torch tensors do. */
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

export const newMask = (width: number, height: number, data: Float32Array): Mask => ({
  kind: 'MASK',
  batch: 1,
  width,
  height,
  data,
});
