import { pngSize } from '@mgpu/core';
import type { A1111Client } from './client/a1111-client.ts';

/** A grey PNG file of 32 × 24 pixels. */
const picture = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAACAAAAAYCAIAAAAUMWhjAAAAIUlEQVR42mOopzEYtWDUglELRi0YtWDUglELRi0YIhYAAE2qdz0G47vkAAAAAElFTkSuQmCC',
  'base64',
);
const factor = 2;

/**
 * Proves an engine by use: it enlarges a picture. That needs no checkpoint, and goes through the same queue as what does.
 * Rejects with what is wrong with it.
 */
export async function proveEngine(client: A1111Client, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
  // Built in, unlike those that are models (`modules/upscaler.py`).
  const answer = Buffer.from(await client.upscale(picture, { upscaler: 'Lanczos', factor, signal }));
  const size = pngSize(answer);
  // In another format where the setting `samples_format` names one.
  if (size === undefined && answer.length > 0) return;
  if (size?.width !== 32 * factor || size.height !== 24 * factor)
    throw new Error(`its picture is ${size ? `${size.width} × ${size.height} pixels` : 'empty'}`);
}
