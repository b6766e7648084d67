import { type Image, newImage } from '../pictures/image.ts';

export const UPSCALE_METHODS = ['nearest-exact', 'bilinear', 'area', 'bicubic', 'lanczos'] as const;
export type UpscaleMethod = (typeof UPSCALE_METHODS)[number];

/** Per output position: the source positions and their weights. */
type Taps = readonly { readonly from: readonly number[]; readonly weights: readonly number[] }[];

/** Resizes separably with the kernels of `torch.nn.functional.interpolate`; lanczos as Pillow does it. */
export function resample(image: Image, width: number, height: number, method: UpscaleMethod): Image {
  if (method !== 'lanczos') return convolve(image, width, height, method, (value) => value);
  // Pillow works on bytes with fixed-point weights, and rounds and clips after each of the two passes.
  const bytes = { ...image, data: image.data.map((value) => clipByte(Math.trunc(Math.fround(255 * value)))) };
  const resized = convolve(bytes, width, height, method, (sum) => clipByte(Math.floor(sum + 0.5)));
  return { ...resized, data: resized.data.map((value) => value / 255) };
}

const clipByte = (value: number) => Math.min(255, Math.max(0, value));

function convolve(
  image: Image,
  width: number,
  height: number,
  method: UpscaleMethod,
  store: (sum: number) => number,
): Image {
  const { batch, channels } = image;
  const columns = taps(method, image.width, width);
  const rows = taps(method, image.height, height);
  const middle = newImage(batch, image.height, width, channels);
  for (let line = 0; line < batch * image.height; line++) {
    for (let x = 0; x < width; x++) {
      const { from, weights } = columns[x] as Taps[number];
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let k = 0; k < from.length; k++) {
          sum +=
            (image.data[(line * image.width + (from[k] as number)) * channels + c] as number) * (weights[k] as number);
        }
        middle.data[(line * width + x) * channels + c] = store(sum);
      }
    }
  }
  const result = newImage(batch, height, width, channels);
  const stride = width * channels;
  for (let b = 0; b < batch; b++) {
    for (let y = 0; y < height; y++) {
      const { from, weights } = rows[y] as Taps[number];
      for (let i = 0; i < stride; i++) {
        let sum = 0;
        for (let k = 0; k < from.length; k++)
          sum +=
            (middle.data[(b * image.height + (from[k] as number)) * stride + i] as number) * (weights[k] as number);
        result.data[(b * height + y) * stride + i] = store(sum);
      }
    }
  }
  return result;
}

function taps(method: UpscaleMethod, source: number, target: number): Taps {
  const scale = source / target;
  return Array.from({ length: target }, (_, i) => {
    const centre = (i + 0.5) * scale;
    if (method === 'nearest-exact') return { from: [Math.min(source - 1, Math.floor(centre))], weights: [1] };
    if (method === 'area') return span(Math.floor(i * scale), Math.ceil((i + 1) * scale), () => 1);
    if (method === 'lanczos') return lanczosTaps(centre, Math.max(1, scale), source);
    const at = method === 'bilinear' ? Math.max(0, centre - 0.5) : centre - 0.5;
    const base = Math.floor(at);
    const t = at - base;
    const clamp = (k: number) => Math.min(source - 1, Math.max(0, k));
    if (method === 'bilinear') return { from: [clamp(base), clamp(base + 1)], weights: [1 - t, t] };
    return { from: [-1, 0, 1, 2].map((k) => clamp(base + k)), weights: [1 + t, t, 1 - t, 2 - t].map(cubic) };
  });
}

function lanczosTaps(centre: number, scale: number, source: number): Taps[number] {
  const support = 3 * scale;
  const from = Math.max(0, Math.trunc(centre - support + 0.5));
  const to = Math.min(source, Math.trunc(centre + support + 0.5));
  const { from: positions, weights } = span(from, to, (k) => lanczos((k - centre + 0.5) / scale));
  const one = 2 ** 22;
  return {
    from: positions,
    weights: weights.map((weight) => Math.trunc(weight * one + Math.sign(weight) * 0.5) / one),
  };
}

/** The source positions from `start` up to `end`, their weights scaled to a sum of 1. */
function span(start: number, end: number, weight: (k: number) => number): Taps[number] {
  const from = Array.from({ length: end - start }, (_, k) => start + k);
  const weights = from.map(weight);
  const sum = weights.reduce((a, b) => a + b, 0);
  return { from, weights: weights.map((w) => w / sum) };
}

function cubic(distance: number): number {
  const [x, a] = [Math.abs(distance), -0.75];
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

const sinc = (x: number) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
const lanczos = (x: number) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0);
