import { forEachBounded, type MgpuError, type RetryOptions, retrying, toMgpuError } from '@mgpu/core';
import type { Git, GitCheckout, GitSource } from '@mgpu/core/git';
import { isFullCommit } from '@mgpu/core/git';
import { EditedError, ForeignFolderError, NotLockedError, UrlNotAllowedError } from './errors.ts';
import { isEnabled, type NodeEntry } from './node-list/entry.ts';
import type { NodeList } from './node-list/read-list.ts';
import type { NodesLock } from './nodes-lock.ts';
import { isAllowedUrl, isSameUrl, plainUrl } from './packs/allowed-url.ts';
import { kindAt, type PackPlaces } from './packs/pack-places.ts';
import type { NodeAction, NodePlan } from './report.ts';
import { shortCommit } from './short-commit.ts';
import type { FormerNode, Memory } from './state-files.ts';

/** What lies where a node belongs. */
interface Present {
  readonly dir: string;
  readonly isEnabled: boolean;
  readonly checkout: GitCheckout;
}

/** A plan with what is needed to carry it out. */
export interface Intent extends NodePlan {
  /** Undefined for what is not in the list, or wrong there. */
  readonly entry?: NodeEntry;
  readonly present?: Present;
  /** What it was before an apply that did not come to its end; else what it is now. */
  readonly former: FormerNode | null;
  /** Edits that are to be stashed, or a commit to be kept, since that is forced. */
  readonly isForced: boolean;
  /** An apply that did not come to its end has begun with it: what differs in it is that one's. */
  readonly isUnfinished: boolean;
  /** State of the repository to fetch. */
  readonly source?: GitSource;
}

export interface PlanningOptions {
  /** What is followed in place of what is newest. */
  readonly locked: NodesLock | undefined;
  readonly force: boolean;
  readonly prune: boolean;
  /** `missing`: what is there and not pinned stays as it is. */
  readonly update: 'missing' | 'all';
  /** Where it means the same repository, the URL that a checkout has is better than the list's: it may have credentials. */
  readonly keepsOrigin: boolean;
}

export interface Planning extends PlanningOptions {
  readonly git: Git;
  readonly places: PackPlaces;
  /** What the last apply made here. */
  readonly lock: NodesLock;
  readonly memory: Memory;
  readonly allow: readonly string[] | undefined;
  readonly concurrency: number;
  readonly retry: RetryOptions;
}

/** What is to be done with each node, in the order of the list; what it takes to know is asked of the repositories. */
export async function planNodes(list: NodeList, planning: Planning): Promise<Intent[]> {
  const intents = new Map<string, Intent>();
  await forEachBounded(list.entries, planning.concurrency, async (entry) => {
    intents.set(entry.name, await planEntry(entry, planning));
  });
  const planned = list.entries.map(({ name }) => intents.get(name) as Intent);
  const wrong = list.invalid.map(
    ({ name, error }): Intent => ({ ...nothing, name, action: 'none', blocked: error, former: null }),
  );
  return [...planned, ...wrong, ...(await planRemovals(list, planning))];
}

const nothing = { notes: [], isForced: false, isUnfinished: false } as const;

async function planEntry(entry: NodeEntry, planning: Planning): Promise<Intent> {
  const { name, url } = entry;
  const base = { ...nothing, name, entry, url: plainUrl(url), action: 'none', former: null } as const;
  try {
    return await lookAt(entry, planning);
  } catch (error) {
    planning.retry.signal?.throwIfAborted();
    const present = await findPack(name, planning).catch(() => undefined);
    return { ...base, ...(present && thereOf(present, entry, planning)), blocked: toMgpuError(error, name) };
  }
}

async function lookAt(entry: NodeEntry, planning: Planning): Promise<Intent> {
  const { allow, lock, memory, locked, force } = planning;
  const { name, url } = entry;
  if (!isAllowedUrl(url, allow)) throw new UrlNotAllowedError({ name, url: plainUrl(url), allow: allow ?? [] });
  const source = locked ? lockedSource(entry, locked) : sourceOf(entry);
  const present = await findPack(name, planning);
  const wasPending = memory.pending?.[name];
  const isUnfinished = wasPending !== undefined;
  const base = { ...nothing, name, entry, url: plainUrl(url), source, isUnfinished };
  if (!present) {
    if (!isEnabled(entry)) return { ...base, action: 'none', former: null, notes: ['disabled, and not there'] };
    const to = await commitOf(source, planning, undefined);
    return { ...base, action: 'clone', former: null, ...(to === undefined ? {} : { to }) };
  }
  const { checkout } = present;
  const isSame = checkout.origin !== undefined && isSameUrl(checkout.origin, url);
  const known = planning.keepsOrigin && isSame ? { ...source, url: checkout.origin ?? url } : source;
  const there = { ...base, source: known, ...thereOf(present, entry, planning) };
  const { from } = there;
  if (!isEnabled(entry)) return { ...there, action: present.isEnabled ? 'disable' : 'none', to: from };
  const stays = planning.update === 'missing' && isSame && entry.commit === undefined && !locked;
  const to = stays ? from : await commitOf(source, planning, present);
  const action = actionOf({ isSame, from, to, present, wantsSubmodules: wantsSubmodules(entry, lock) });
  const intent = { ...there, action, ...(to === undefined ? {} : { to }) };
  if (action !== 'update' && action !== 'switch') return intent;
  const edited = isUnfinished ? undefined : editedError(entry, present, lock);
  if (edited && !force) return { ...intent, action: 'none', blocked: edited };
  return { ...intent, isForced: edited !== undefined };
}

/** What is known of a node that is there. */
const thereOf = (present: Present, entry: NodeEntry, planning: Planning) => ({
  present,
  from: present.checkout.commit,
  former: formerOf(present, entry, planning),
});

/** What is to be made of the node again when it fails. */
function formerOf(present: Present, entry: NodeEntry, { memory, lock }: Planning): FormerNode | null {
  const pending = memory.pending?.[entry.name];
  if (pending !== undefined) return pending;
  return {
    url: present.checkout.origin ?? entry.url,
    commit: present.checkout.commit,
    enabled: present.isEnabled,
    recursive: lock.nodes[entry.name]?.recursive ?? entry.recursive ?? false,
  };
}

const sourceOf = ({ url, branch, commit, recursive }: NodeEntry): GitSource => ({
  url,
  ref: commit ?? branch,
  recursive: recursive ?? false,
});

function lockedSource(entry: NodeEntry, lock: NodesLock): GitSource {
  const { name, url, commit, recursive = false } = entry;
  const locked = lock.nodes[name];
  const refuse = (problem: string) => new NotLockedError({ name, problem });
  if (!locked) throw refuse('the lock does not have it');
  if (!isSameUrl(locked.url, url)) throw refuse(`the lock has it from ${locked.url}, the list from ${plainUrl(url)}`);
  if (commit !== undefined && !locked.commit.startsWith(commit))
    throw refuse(`the lock has it at ${shortCommit(locked.commit)}, the list at ${shortCommit(commit)}`);
  return { url, ref: locked.commit, recursive };
}

/** Undefined for an abbreviated commit that is not there yet. */
async function commitOf(
  source: GitSource,
  { git, retry }: Planning,
  present: Present | undefined,
): Promise<string | undefined> {
  const { ref } = source;
  if (ref !== undefined && isFullCommit(ref)) return ref;
  if (ref !== undefined && /^[0-9a-f]{7,39}$/.test(ref) && present?.checkout.commit.startsWith(ref))
    return present.checkout.commit;
  return retrying(() => git.remoteCommit(source), retry);
}

const wantsSubmodules = (entry: NodeEntry, lock: NodesLock): boolean =>
  entry.recursive === true && lock.nodes[entry.name]?.recursive === false;

function actionOf(about: {
  isSame: boolean;
  from: string;
  to: string | undefined;
  present: Present;
  wantsSubmodules: boolean;
}): NodeAction {
  if (!about.isSame) return 'switch';
  if (about.from !== about.to || about.wantsSubmodules) return 'update';
  return about.present.isEnabled ? 'none' : 'enable';
}

/** What would be lost; undefined when nothing would. Our own `.env` is no edit, nor is a commit that we put there. */
function editedError(
  { name, env }: Pick<NodeEntry, 'name' | 'env'>,
  { dir, checkout }: Present,
  lock: NodesLock,
): MgpuError | undefined {
  const edits = checkout.edits.filter((path) => !(env && path === '.env'));
  const isOurs = checkout.isPublished || lock.nodes[name]?.commit === checkout.commit;
  if (edits.length === 0 && isOurs) return undefined;
  return new EditedError({ name, path: dir, edits, unpublished: isOurs ? undefined : checkout.commit });
}

/** Undefined when nothing is there. Throws `NODES_FOREIGN` for what is not for us to touch. */
async function findPack(name: string, { places, git }: Planning): Promise<Present | undefined> {
  const [on, off] = await Promise.all([kindAt(places.enabled(name)), kindAt(places.disabled(name))]);
  if (on === 'nothing' && off === 'nothing') return undefined;
  const isOn = on !== 'nothing';
  const dir = places.of(name, isOn);
  const refuse = (problem: string) => new ForeignFolderError({ name, path: dir, problem });
  if (isOn && off !== 'nothing') throw refuse('there is one in .disabled as well');
  if (on === 'link' || off === 'link') throw refuse('it is a symbolic link');
  if (on === 'something else' || off === 'something else') throw refuse('it is no folder');
  const checkout = await git.inspect(dir);
  if (!checkout) throw refuse('it is no Git checkout');
  return { dir, isEnabled: isOn, checkout };
}

async function planRemovals(list: NodeList, planning: Planning): Promise<Intent[]> {
  const { prune, lock } = planning;
  const named = new Set([...list.entries, ...list.invalid].map(({ name }) => name));
  const names = prune ? Object.keys(lock.nodes).filter((name) => !named.has(name)) : [];
  const intents: Intent[] = [];
  for (const name of names.sort()) {
    const url = lock.nodes[name]?.url ?? '';
    const base = { ...nothing, name, url, former: null };
    try {
      const present = await findPack(name, planning);
      if (!present) continue;
      const edited = editedError({ name }, present, lock);
      const there = { ...base, ...thereOf(present, { name, url }, planning) };
      intents.push(edited ? { ...there, action: 'none', blocked: edited } : { ...there, action: 'remove' });
    } catch (error) {
      planning.retry.signal?.throwIfAborted();
      intents.push({ ...base, action: 'none', blocked: toMgpuError(error, name) });
    }
  }
  return intents;
}
