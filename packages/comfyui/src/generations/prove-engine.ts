import { randomUUID } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { systemClock } from '@mgpu/core';
import type { ComfyUIClient } from '../client/comfyui-client.ts';
import type { EngineFile, PromptGraph } from '../client/types.ts';

const size = { width: 64, height: 48 };

/** Needs no model: a picture of one colour, turned into its opposite and saved. Another colour each time, lest it is cached. */
const workflow = (color: number): PromptGraph => ({
  '1': { class_type: 'EmptyImage', inputs: { ...size, batch_size: 1, color } },
  '2': { class_type: 'ImageInvert', inputs: { image: ['1', 0] } },
  '3': { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: 'mgpu/verification' } },
});

/** Milliseconds that a picture of 64 × 48 pixels without a model may take. */
const patienceMs = 60_000;
const pollMs = 50;

/** Proves an engine by use: it makes a picture without a model. Rejects with what is wrong with it. */
export async function proveEngine(
  client: ComfyUIClient,
  { signal, color = Math.floor(Math.random() * 0x1000000) }: { signal?: AbortSignal | undefined; color?: number } = {},
): Promise<void> {
  const { promptId } = await client.submit(workflow(color), { promptId: randomUUID(), front: true, signal });
  const latest = systemClock.elapsed() + patienceMs;
  let entry = await client.history(promptId, { signal });
  while (!entry) {
    if (systemClock.elapsed() > latest) throw new Error(`no picture after ${patienceMs / 1_000} s`);
    await systemClock.sleep(pollMs, { signal });
    entry = await client.history(promptId, { signal });
  }
  const { completed, messages } = entry.status;
  if (!completed) throw new Error(JSON.stringify(messages.at(-1)).slice(0, 500));
  const [image] = (entry.outputs['3']?.images ?? []) as EngineFile[];
  if (!image) throw new Error('it saved no picture');
  const picture = await buffer((await client.view(image, { signal })).body);
  const seen = pngSize(picture);
  if (seen?.width !== size.width || seen.height !== size.height)
    throw new Error(`its picture is ${seen ? `${seen.width} × ${seen.height} pixels` : 'no PNG file'}`);
}

/** From the head of a PNG file (PNG specification §5.2, §11.2.1). */
function pngSize(file: Buffer): { width: number; height: number } | undefined {
  const isPng =
    file.length > 24 && file.toString('latin1', 1, 4) === 'PNG' && file.toString('latin1', 12, 16) === 'IHDR';
  return isPng ? { width: file.readUInt32BE(16), height: file.readUInt32BE(20) } : undefined;
}
