import type { Git } from '@mgpu/core/git';
import { packageName } from '@mgpu/core/python';
import type { InstalledNode } from './list-nodes.ts';
import { isEnabled } from './node-list/entry.ts';
import { packNameOf, type Snapshot } from './node-list/snapshot.ts';
import { isSameUrl } from './packs/allowed-url.ts';
import { shortCommit } from './short-commit.ts';
import type { NodeTarget } from './site.ts';

interface Here {
  readonly nodes: readonly InstalledNode[];
  readonly target: NodeTarget;
  readonly git: Git;
}

/** Each thing of a snapshot that is not so here, and each pack here that it does not have. */
export async function differencesFrom(snapshot: Snapshot, { nodes, target, git }: Here): Promise<string[]> {
  return [
    ...(await engineDifferences(snapshot, target, git)),
    ...gitDifferences(snapshot, nodes),
    ...registryDifferences(snapshot, nodes),
    ...fileDifferences(snapshot, nodes),
    ...surplus(snapshot, nodes),
    ...(await packageDifferences(snapshot, target)),
  ];
}

async function engineDifferences(
  { engine: wanted }: Snapshot,
  { engine: dir }: NodeTarget,
  git: Git,
): Promise<string[]> {
  if (wanted === undefined) return [];
  const checkout = dir === undefined ? undefined : await git.inspect(dir);
  if (!checkout)
    return [`the engine: the snapshot has commit ${shortCommit(wanted)}, and which one is here is not known`];
  if (checkout.commit === wanted) return [];
  return [`the engine: the snapshot has commit ${shortCommit(wanted)}, here is ${shortCommit(checkout.commit)}`];
}

function gitDifferences({ list }: Snapshot, nodes: readonly InstalledNode[]): string[] {
  const wrong = list.invalid.map(({ name, error }) => `${name}: ${error.message}`);
  const differing = list.entries.flatMap((entry) => {
    const { name, url, commit } = entry;
    const here = nodes.find((node) => node.name === name || (node.url !== undefined && isSameUrl(node.url, url)));
    if (!here)
      return isEnabled(entry) ? [`${name}: it is not here`] : [`${name}: it is not here; the snapshot has it disabled`];
    if (here.kind !== 'git') return [`${name}: what is here is a ${here.kind}, not the checkout of the snapshot`];
    const problems = [
      here.url !== undefined && isSameUrl(here.url, url) ? '' : `it is from ${here.url}, in the snapshot from ${url}`,
      commit === undefined || here.commit === commit
        ? ''
        : `it is at ${shortCommit(here.commit ?? 'nothing')}, in the snapshot at ${shortCommit(commit)}`,
      here.isEnabled === isEnabled(entry)
        ? ''
        : `it is ${here.isEnabled ? 'enabled' : 'disabled'}, in the snapshot not`,
    ];
    return problems.filter(Boolean).map((problem) => `${name}: ${problem}`);
  });
  return [...wrong, ...differing];
}

const registryDifferences = ({ registryPacks }: Snapshot, nodes: readonly InstalledNode[]): string[] =>
  [...registryPacks].map(([id, version]) => {
    const here = nodes.find((node) => node.isEnabled && node.name.toLowerCase() === id.toLowerCase());
    return `${id}: version ${version} of the registry is not restored; ${here ? `a ${here.kind} of that name is here` : 'it is not here'}`;
  });

const fileDifferences = ({ files }: Snapshot, nodes: readonly InstalledNode[]): string[] =>
  files.flatMap(({ name, enabled }) => {
    const here = nodes.find((node) => node.kind === 'file' && node.name === name);
    if (!here) return [`${name}: a single file, whose content the snapshot does not have; it is not here`];
    return here.isEnabled === enabled
      ? []
      : [`${name}: it is ${here.isEnabled ? 'enabled' : 'disabled'}, in the snapshot not`];
  });

/** The one that ComfyUI itself has among its custom nodes. */
const bundled = 'websocket_image_save.py';

function surplus({ list, registryPacks, files }: Snapshot, nodes: readonly InstalledNode[]): string[] {
  const names = [
    ...list.entries.flatMap(({ name, url }) => [name, packNameOf(url)]),
    ...registryPacks.keys(),
    ...files.map(({ name }) => name),
    bundled,
  ];
  const known = new Set(names.map((name) => name.toLowerCase()));
  return nodes
    .filter(({ name, isEnabled: isOn }) => isOn && !known.has(name.toLowerCase()))
    .map(({ name }) => `${name}: it is here and not in the snapshot`);
}

async function packageDifferences({ packages }: Snapshot, { python }: NodeTarget): Promise<string[]> {
  if (packages.size === 0) return [];
  if (!python)
    return [`packages: the snapshot has ${packages.size}, and there is no Python environment to compare with`];
  const installed = await python.installed();
  return [...packages].flatMap(([name, wanted]) => {
    const version = installed.get(packageName(name));
    const isUrl = wanted.includes('://');
    if (version === undefined) return [`package ${name}: the snapshot has ${wanted || 'one'}, here is none`];
    if (isUrl) return [`package ${name}: the snapshot has it from ${wanted}, here is ${version}`];
    return wanted === '' || version === wanted
      ? []
      : [`package ${name}: the snapshot has ${wanted}, here is ${version}`];
  });
}
