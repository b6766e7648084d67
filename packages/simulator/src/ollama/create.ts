import { statSync } from 'node:fs';
import type * as z from 'zod/mini';
import { ApiError } from './api-error.ts';
import type { Engine } from './engine.ts';
import { configLayer, configOf, modelLayer } from './registry.ts';
import type { createSchema } from './requests.ts';

/** Makes a model of another one, or of an uploaded file. */
export async function* create(
  { store }: Engine,
  { model, from, files }: z.output<typeof createSchema>,
): AsyncGenerator<Record<string, unknown>> {
  if (model === '') throw new ApiError(400, 'invalid model name');
  if (from === undefined && files === undefined) throw new ApiError(400, "neither 'from' or 'files' was specified");
  if (from !== undefined) {
    const { manifest } = store.get(from);
    for (const { digest } of manifest.layers) yield { status: `using existing layer ${digest}` };
    yield { status: 'writing manifest' };
    store.write(model, manifest);
    return yield { status: 'success' };
  }
  const digests = Object.values(files ?? {});
  for (const digest of digests) if (!store.hasBlob(digest)) throw new ApiError(400, `blob ${digest} not found`);
  yield { status: 'parsing GGUF' };
  const layers = digests.map((digest) => ({
    mediaType: modelLayer,
    digest,
    size: statSync(store.blobPath(digest)).size,
  }));
  for (const { digest } of layers) yield { status: `using existing layer ${digest}` };
  const config = store.addBlob(configLayer, Buffer.from(JSON.stringify(configOf(model))));
  yield { status: `creating new layer ${config.digest}` };
  yield { status: 'writing manifest' };
  store.write(model, { config, layers });
  yield { status: 'success' };
}
