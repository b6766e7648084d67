import { readdir } from 'node:fs/promises';
import { forEachBounded, ignore } from '@mgpu/core';
import type { Git } from '@mgpu/core/git';
import type { NodesLock } from './nodes-lock.ts';
import { plainUrl } from './packs/allowed-url.ts';
import { kindAt, type PackPlaces } from './packs/pack-places.ts';

/** Something that lies among the custom nodes. */
export interface InstalledNode {
  readonly name: string;
  readonly path: string;
  readonly isEnabled: boolean;
  /** `git`: a checkout; the others are somebody's own. */
  readonly kind: 'git' | 'folder' | 'link' | 'file';
  readonly url?: string;
  readonly commit?: string;
  /** Tracked files that differ from the commit. */
  readonly edits?: readonly string[];
  /** True for what an apply brought here. */
  readonly isLocked: boolean;
}

const passedOver = /^(?:\.|__pycache__$)|\.disabled$|\.example$/;

export async function listNodes(places: PackPlaces, git: Git, lock: NodesLock | undefined): Promise<InstalledNode[]> {
  const nodes: InstalledNode[] = [];
  const found = [true, false].map(async (isEnabled) => {
    const folder = places.of('', isEnabled);
    const names = (await readdir(folder).catch(ignore('ENOENT'))) ?? [];
    return names.filter((name) => !passedOver.test(name)).map((name) => ({ name, isEnabled }));
  });
  await forEachBounded((await Promise.all(found)).flat(), 4, async ({ name, isEnabled }) => {
    const path = places.of(name, isEnabled);
    const base = { name, path, isEnabled, isLocked: lock?.nodes[name] !== undefined };
    const kind = await kindAt(path);
    if (kind === 'link') nodes.push({ ...base, kind });
    else if (kind === 'something else') {
      // ComfyUI imports folders and Python files.
      if (name.endsWith('.py')) nodes.push({ ...base, kind: 'file' });
    } else if (kind === 'folder') {
      const checkout = await git.inspect(path);
      if (!checkout) nodes.push({ ...base, kind: 'folder' });
      else {
        const { origin, commit, edits } = checkout;
        nodes.push({ ...base, kind: 'git', commit, edits, ...(origin === undefined ? {} : { url: plainUrl(origin) }) });
      }
    }
  });
  return nodes.sort((a, b) => (a.name < b.name ? -1 : 1));
}
