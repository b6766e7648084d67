import { readFile } from 'node:fs/promises';
import type { ComfyUIClient } from '../client/comfyui-client.ts';
import { ComfyUIUploadMissingError } from '../errors.ts';
import type { ReadJobInput } from './job-input.ts';

/** Stores files of this machine among the engine's inputs, one after the other. */
export async function uploadFiles(
  client: ComfyUIClient,
  uploads: ReadJobInput['uploads'],
  signal: AbortSignal,
): Promise<void> {
  for (const { name, subfolder, path } of uploads) {
    const bytes = await readFile(path, { signal }).catch((error: NodeJS.ErrnoException) => {
      signal.throwIfAborted();
      throw new ComfyUIUploadMissingError({ path, problem: error.code ?? error.message, fault: 'permanent' });
    });
    await client.upload(name, bytes, { ...(subfolder === undefined ? {} : { subfolder }), overwrite: true, signal });
  }
}
