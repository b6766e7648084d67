import { join } from 'node:path';
import { type Layout, sharedFolders } from '@mgpu/core';
import picomatch from 'picomatch';
import type { StaticModels } from '../links/static-models.ts';
import type { ModelList } from '../list/read-list.ts';
import { shortPath } from '../place.ts';
import { isAsBrought } from '../pull.ts';
import type { ModelRecord } from './ledger.ts';
import { readNodeCache } from './node-cache.ts';
import { type FoundFile, survey } from './survey.ts';

/** A model, or what is there of one. */
export interface ModelInfo {
  /** Path below `shared`. */
  readonly path: string;
  /** `present`; `part`: a download that did not end; `link`, or one that leads nowhere; `missing`: a list names it. */
  readonly state: 'present' | 'part' | 'link' | 'broken link' | 'missing';
  /** Bytes on disk. */
  readonly bytes: number;
  /** When it was last used, as far as that is known: milliseconds since the epoch. */
  readonly usedMs?: number;
  /** Where it was brought from; undefined for what somebody else put there, or changed. */
  readonly source?: string;
  readonly sha256?: string;
  readonly isListed: boolean;
  /** Why it is never evicted; undefined when it may be. */
  readonly keptBecause?: string;
  /** `static-models.json` keeps it out of every index. */
  readonly isIndexed: boolean;
  /** Device and inode. */
  readonly identity?: string;
}

export interface ModelsView {
  readonly layout: Layout;
  readonly ledger: Readonly<Record<string, ModelRecord>>;
  readonly list: ModelList;
  readonly statics: StaticModels | undefined;
  /** Patterns of paths. */
  readonly protect: readonly string[];
}

/** Everything that is there or should be, with what is known of it. */
export async function viewModels({ layout, ledger, list, statics, protect }: ModelsView): Promise<ModelInfo[]> {
  const found = await survey(layout);
  const listed = new Map(
    list.entries.flatMap((entry) => (entry.path === undefined ? [] : [[entry.path, entry] as const])),
  );
  const known = readNodeCache(join(sharedFolders(layout).customNodes, 'emprops_comfy_nodes/db/model_cache.db'));
  const isProtected = protect.length === 0 ? () => false : picomatch([...protect], { basename: true });
  const sources = new Set(statics?.links.map(({ source }) => source));
  const linked = new Set(found.flatMap(({ target }) => target ?? []));
  const keptBecause = (file: FoundFile, isOurs: boolean): string | undefined => {
    if (!isOurs) return 'not brought by mgpu, or changed since';
    if (sources.has(file.path) || linked.has(join(layout.shared, file.path))) return 'a link leads to it';
    if (listed.get(file.path)?.isProtected || isProtected(shortPath(file.path))) return 'protected';
    if (known.get(file.path.split('/').at(-1) ?? '')?.isProtected) return "protected in a node's cache";
    return undefined;
  };
  const infos = found.map((file): ModelInfo => {
    const { path, kind, bytes, identity } = file;
    const record = ledger[path];
    const isOurs = record !== undefined && isAsBrought(record, { size: bytes, mtimeMs: file.mtimeMs });
    const kept = kind === 'file' ? keptBecause(file, isOurs) : undefined;
    const used = Math.max(file.usedMs, known.get(path.split('/').at(-1) ?? '')?.usedMs ?? 0);
    return {
      path,
      state:
        kind === 'file' ? 'present' : kind === 'part' ? 'part' : file.target === undefined ? 'broken link' : 'link',
      bytes,
      usedMs: used,
      ...(isOurs ? { source: record.source, sha256: record.sha256 } : {}),
      isListed: listed.has(path),
      ...(kept === undefined ? {} : { keptBecause: kept }),
      isIndexed: !statics?.noIndex.has(join(layout.shared, path)),
      identity,
    };
  });
  const there = new Set(infos.filter(({ state }) => state !== 'part').map(({ path }) => path));
  const missing = [...listed.keys()].filter((path) => !there.has(path));
  return [
    ...infos,
    ...missing.map((path): ModelInfo => ({ path, state: 'missing', bytes: 0, isListed: true, isIndexed: true })),
  ].toSorted((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}
