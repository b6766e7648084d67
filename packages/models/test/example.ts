import { layoutOf } from '@mgpu/core';
import { entryOf, ModelStore, modelsSchema } from '../src/index.ts';

/** Brings a LoRA to `<root>/shared/models/loras`; returns what failed and why. */
export async function bringLora(root: string, url: string, sha256?: string): Promise<string[]> {
  const config = modelsSchema.parse({ accounts: { huggingFace: { token: process.env.HF_TOKEN } } });
  const store = new ModelStore({ layout: layoutOf(root), config, env: process.env });
  const { models, summary } = await store.pull([entryOf({ url, path: 'loras/', sha256 })], {
    onProgress: ({ path, received, total, bytesPerSecond = 0, remainingMs = 0 }) =>
      console.log(
        path,
        received,
        total,
        `${Math.round(bytesPerSecond / 1e6)} MB/s`,
        `${Math.round(remainingMs / 1e3)} s`,
      ),
  });
  console.log(summary); // 1 model: 1 pulled
  return models.flatMap(({ error }) => (error ? [`${error.message} (${error.hint})`] : []));
}
