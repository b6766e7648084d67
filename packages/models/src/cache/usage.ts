import { statfs } from 'node:fs/promises';
import { totalBytes } from './evict.ts';
import type { ModelInfo } from './models.ts';

export interface FolderUsage {
  /** Path below `shared`, e.g. `models/loras`. */
  readonly folder: string;
  readonly files: number;
  readonly bytes: number;
  /** Bytes of downloads that did not end. */
  readonly partBytes: number;
}

/** How much space models take. */
export interface ModelsUsage {
  readonly folders: readonly FolderUsage[];
  readonly files: number;
  readonly bytes: number;
  /** Of the disk that they lie on. */
  readonly disk: { readonly bytes: number; readonly freeBytes: number };
  /** The least recently used five of those that may be evicted. */
  readonly leastUsed: readonly ModelInfo[];
}

export async function usageOf(models: readonly ModelInfo[], folder: string): Promise<ModelsUsage> {
  const there = models.filter(({ state }) => state === 'present');
  const byFolder = Map.groupBy(
    models.filter(({ state }) => state === 'present' || state === 'part'),
    ({ path }) => path.split('/').slice(0, -1).slice(0, 2).join('/'),
  );
  const folders = [...byFolder].map(([name, each]): FolderUsage => {
    const files = each.filter(({ state }) => state === 'present');
    const parts = each.filter(({ state }) => state === 'part');
    return { folder: name, files: files.length, bytes: totalBytes(files), partBytes: totalBytes(parts) };
  });
  const { blocks, bavail, bsize } = await statfs(folder);
  return {
    folders: folders.toSorted((a, b) => b.bytes - a.bytes || (a.folder < b.folder ? -1 : 1)),
    files: there.length,
    bytes: totalBytes(there),
    disk: { bytes: blocks * bsize, freeBytes: bavail * bsize },
    leastUsed: there
      .filter(({ keptBecause, isIndexed }) => keptBecause === undefined && isIndexed)
      .toSorted((a, b) => (a.usedMs ?? 0) - (b.usedMs ?? 0))
      .slice(0, 5),
  };
}
