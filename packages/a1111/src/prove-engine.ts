import { deadline, pngSize, systemClock } from '@mgpu/core';
import type { A1111Client } from './client/a1111-client.ts';

/** A grey PNG file of 32 × 24 pixels. */
const picture = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAACAAAAAYCAIAAAAUMWhjAAAAIUlEQVR42mOopzEYtWDUglELRi0YtWDUglELRi0YIhYAAE2qdz0G47vkAAAAAElFTkSuQmCC',
  'base64',
);
const factor = 2;

/** Milliseconds that it may take, others before it included. */
const patienceMs = 60_000;

/**
 * Proves an engine by use: it enlarges a picture. That needs no checkpoint, and goes through the same queue as what does. False
 * when all that time it was busy with the requests of others. Rejects with what is wrong with it.
 */
export async function proveEngine(client: A1111Client, { signal }: { signal?: AbortSignal } = {}): Promise<boolean> {
  using limit = deadline(systemClock, patienceMs, () => new Error(`no picture after ${patienceMs / 1_000} s`), signal);
  try {
    // Built in, unlike those that are models (`modules/upscaler.py`).
    expectPicture(await client.upscale(picture, { upscaler: 'Lanczos', factor, signal: limit.signal }));
    return true;
  } catch (error) {
    signal?.throwIfAborted();
    if (limit.signal.aborted && (await client.progress({ signal })).isBusy) return false;
    throw error;
  }
}

function expectPicture(answer: Uint8Array): void {
  const size = pngSize(answer);
  // In another format where the setting `samples_format` names one.
  if (size === undefined && answer.length > 0) return;
  if (size?.width !== 32 * factor || size.height !== 24 * factor)
    throw new Error(`its picture is ${size ? `${size.width} × ${size.height} pixels` : 'empty'}`);
}
