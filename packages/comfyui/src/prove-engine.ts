import { randomUUID } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { pngSize, systemClock } from '@mgpu/core';
import type { ComfyUIClient } from './client/comfyui-client.ts';
import type { EngineFile, PromptGraph } from './client/types.ts';
import { nodeFailure } from './connector/node-failure.ts';

const size = { width: 64, height: 48 };

/**
 * Needs no model: a picture of one colour, turned into its opposite and put where nobody keeps it. Another colour each time,
 * lest it is cached.
 */
const workflow = (color: number): PromptGraph => ({
  '1': { class_type: 'EmptyImage', inputs: { ...size, batch_size: 1, color } },
  '2': { class_type: 'ImageInvert', inputs: { image: ['1', 0] } },
  '3': { class_type: 'PreviewImage', inputs: { images: ['2', 0] } },
});

/** Milliseconds that a picture of 64 × 48 pixels without a model may take. */
const patienceMs = 60_000;
const pollMs = 50;

/**
 * Proves an engine by use: it makes a picture without a model. False when all that time it was busy with the prompts of others;
 * ours is taken back then. Rejects with what is wrong with it.
 */
export async function proveEngine(
  client: ComfyUIClient,
  { signal, color = Math.floor(Math.random() * 0x1000000) }: { signal?: AbortSignal | undefined; color?: number } = {},
): Promise<boolean> {
  const { promptId } = await client.submit(workflow(color), { promptId: randomUUID(), front: true, signal });
  const latest = systemClock.elapsed() + patienceMs;
  let entry = await client.history(promptId, { signal });
  while (!entry) {
    if (systemClock.elapsed() > latest) {
      const { running } = await client.queue({ signal });
      await client.deletePending([promptId], { signal });
      if (running.some((each) => each.promptId !== promptId)) return false;
      throw new Error(`no picture after ${patienceMs / 1_000} s`);
    }
    await systemClock.sleep(pollMs, { signal });
    entry = await client.history(promptId, { signal });
  }
  const { completed, messages } = entry.status;
  if (!completed) {
    const [, error = {}] = messages.findLast(([type]) => type === 'execution_error') ?? [];
    throw nodeFailure(client.url.host, error);
  }
  const [image] = (entry.outputs['3']?.images ?? []) as EngineFile[];
  if (!image) throw new Error('it made no picture');
  const picture = await buffer((await client.view(image, { signal })).body);
  const seen = pngSize(picture);
  if (seen?.width !== size.width || seen.height !== size.height)
    throw new Error(`its picture is ${seen ? `${seen.width} × ${seen.height} pixels` : 'no PNG file'}`);
  return true;
}

/** As `proveEngine`; one that is busy with the prompts of others is not proved. */
export async function expectProved(
  client: ComfyUIClient,
  options: { signal?: AbortSignal | undefined },
): Promise<void> {
  if (!(await proveEngine(client, options)))
    throw new Error(`it is busy with other prompts for ${patienceMs / 1_000} s`);
}
