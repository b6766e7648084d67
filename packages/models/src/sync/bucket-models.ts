import { MgpuError } from '@mgpu/core';
import picomatch from 'picomatch';
import type { Http } from '../download/http.ts';
import { modelPath, shortPath } from '../place.ts';
import type { WantedModel } from '../pull.ts';
import type { Bucket } from '../sources/source.ts';

/** What lies in the predecessors' buckets beside models. */
const otherTrees = new Set(['custom_nodes', 'input', 'output', 'temp', 'user', 'workflows']);

export interface BucketSelection {
  readonly prefix: string;
  /** Folders of models, by the names of their types; empty: all. */
  readonly dirs: readonly string[];
  readonly exclude: readonly string[];
}

/**
 * The models in a bucket and where they belong: keys are paths below `shared/models`, or below `shared` where they begin with
 * `models/` or `sd_models/`. Folders of other things, files outside folders and hidden ones are none.
 */
export async function bucketModels(
  bucket: Bucket,
  { prefix, dirs, exclude }: BucketSelection,
  http: Http,
  signal: AbortSignal | undefined,
): Promise<{ models: WantedModel[]; warnings: string[] }> {
  const isExcluded = exclude.length === 0 ? () => false : picomatch([...exclude], { basename: true });
  const wanted = new Set(dirs);
  const beginning = prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`;
  const models: WantedModel[] = [];
  const warnings: string[] = [];
  for await (const { key, size } of bucket.list(beginning, http, signal)) {
    const below = key.slice(beginning.length);
    const [top = '', ...rest] = below.split('/');
    if (below.endsWith('/') || rest.length === 0 || otherTrees.has(top)) continue;
    try {
      const path = modelPath(below);
      const folder = shortPath(path).split('/').slice(0, -1);
      const isWanted = wanted.size === 0 || folder.some((_, depth) => wanted.has(folder.slice(0, depth + 1).join('/')));
      if (folder.length === 0 || !isWanted || isExcluded(shortPath(path))) continue;
      models.push({ source: bucket.source(key), path, size });
    } catch (error) {
      if (!(error instanceof MgpuError)) throw error;
      warnings.push(`${bucket.label}/${key}: ${error.message}`);
    }
  }
  return { models, warnings };
}
