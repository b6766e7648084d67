import { type ErrorReport, reportError } from '@mgpu/core/jobs';
import { A1111Client, type Abortable } from './a1111-client.ts';
import type { Checkpoint } from './types.ts';

/** What became of it on one engine. */
export interface LoadedModel {
  readonly url: URL;
  readonly checkpoint?: Checkpoint;
  readonly error?: ErrorReport;
}

/** Loads a checkpoint on one or all engines at the same time; one that fails does not keep the others from it. */
export function loadModel(
  engines: readonly { readonly url: string | URL }[],
  name: string,
  options: Abortable = {},
): Promise<readonly LoadedModel[]> {
  return Promise.all(
    engines.map(async (engine) => {
      await using client = new A1111Client(engine);
      try {
        return { url: client.url, checkpoint: await client.loadModel(name, options) };
      } catch (error) {
        options.signal?.throwIfAborted();
        return { url: client.url, error: reportError(error) };
      }
    }),
  );
}
