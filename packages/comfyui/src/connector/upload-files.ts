import { createHash } from 'node:crypto';
import { createReadStream, openAsBlob } from 'node:fs';
import type { ComfyUIClient } from '../client/comfyui-client.ts';
import type { PromptGraph } from '../client/types.ts';
import { ComfyUIUploadMissingError } from '../errors.ts';
import { fileReference, type ReadJobInput } from './job-input.ts';

const digestChars = 16;

/**
 * Stores files of this machine among the engine's inputs and returns the workflow with its references changed to them.
 * Jobs and engines share that folder, so each file is named after its content: another of the same name is no danger,
 * and the same one is found again, in the engine's cache as well.
 */
export async function uploadFiles(
  client: ComfyUIClient,
  { prompt, uploads }: Pick<ReadJobInput, 'prompt' | 'uploads'>,
  signal: AbortSignal,
): Promise<PromptGraph> {
  const stored = new Map<unknown, string>();
  for (const { name, subfolder, path } of uploads) {
    const digest = await hashFile(path, signal);
    const options = { ...(subfolder === undefined ? {} : { subfolder }), signal };
    const file = await client.upload(`${digest}-${name}`, await openAsBlob(path), options);
    stored.set(fileReference(subfolder, name), fileReference(file.subfolder, file.filename));
  }
  if (stored.size === 0) return prompt;
  const refer = (inputs: Readonly<Record<string, unknown>>) =>
    Object.fromEntries(Object.entries(inputs).map(([key, value]) => [key, stored.get(value) ?? value]));
  return Object.fromEntries(
    Object.entries(prompt).map(([id, node]) => [id, { ...node, inputs: refer(node.inputs) }]),
  ) as PromptGraph;
}

async function hashFile(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(path, { signal })) hash.update(chunk);
  } catch (error) {
    signal.throwIfAborted();
    const { code, message } = error as NodeJS.ErrnoException;
    throw new ComfyUIUploadMissingError({ path, problem: code ?? message });
  }
  return hash.digest('hex').slice(0, digestChars);
}
