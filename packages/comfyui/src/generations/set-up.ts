import { type Layout, type Logger, silentLogger } from '@mgpu/core';
import { expectGitRef, expectGitUrl, Git } from '@mgpu/core/git';
import type { ComfyUISetup } from '../config.ts';
import { RefUnclearError } from '../errors.ts';
import { type BuildProgress, buildGeneration, type NodeSet } from './build-generation.ts';
import type { Generation } from './generation.ts';
import { GenerationStore } from './generation-store.ts';
import { isSameRecipe, type Recipe } from './recipe.ts';
import { type Fleet, type RollOutOptions, rollOut } from './roll-out.ts';
import { torchIndexFor } from './torch-index.ts';

export interface SetupOptions {
  readonly layout: Pick<Layout, 'engines'>;
  readonly setup: ComfyUISetup;
  /** What torch is to run on. */
  readonly mode: 'nvidia' | 'cpu';
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Custom nodes to bring in; without it those of the present generation stay as they are. */
  readonly nodes?: NodeSet | undefined;
  /** Looks a branch or tag up again that is there already. */
  readonly update?: boolean | undefined;
  readonly startDeadlineMs: number;
  readonly log?: Logger | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: BuildProgress) => void) | undefined;
}

export interface SetupResult {
  readonly generation: Generation;
  /** False: it was there and in force already. */
  readonly changed: boolean;
}

/**
 * Brings ComfyUI to the state that the configuration asks for and rolls it out. An interrupted one is gone on with; nothing to
 * do is known without the network. With extras, which may take an hour to build, the machine first gets a generation without
 * them. Throws `CORE_FOLDER_BUSY` while somebody else does so, and as `buildGeneration` and `rollOut` do.
 */
export async function setUp(options: SetupOptions & RollOutOptions & { readonly fleet: Fleet }): Promise<SetupResult> {
  const { setup, fleet } = options;
  const store = new GenerationStore(options.layout);
  using _ = await store.lock();
  await store.sweep();
  await store.untry(); // of a roll-out that was interrupted
  const former = await store.current();
  if (!former && setup.extras.length > 0) {
    const plain = await prepareGeneration(store, { ...options, setup: { ...setup, extras: [] } });
    await rollOut(store, plain, fleet, { signal: options.signal });
  }
  const generation = await prepareGeneration(store, options);
  const changed = generation.id !== former?.id;
  if (changed) {
    const { signal, onInstance, oneByOne } = options;
    await rollOut(store, generation, fleet, { signal, onInstance, oneByOne });
  }
  return { generation, changed };
}

/**
 * The generation that the configuration asks for: the present one when it is that already, else one that was made before,
 * else a new one, made from the present one. Nothing runs it yet.
 */
async function prepareGeneration(store: GenerationStore, options: SetupOptions): Promise<Generation> {
  const { setup, nodes, env, signal, mode, startDeadlineMs, log = silentLogger, onProgress } = options;
  const current = await store.current();
  const recipe = await recipeFor(current, options);
  if (current && isSameRecipe(current.recipe, recipe)) return current;
  const known = (await store.list()).findLast((each) => isSameRecipe(each.recipe, recipe));
  if (known) return known;
  return buildGeneration({
    store,
    recipe,
    parent: current,
    nodes,
    env,
    python: { installer: setup.installer, sources: setup.packages },
    expectGpu: mode === 'nvidia',
    startDeadlineMs,
    log,
    signal,
    onProgress,
  });
}

async function recipeFor(current: Generation | undefined, options: SetupOptions): Promise<Recipe> {
  const { setup, nodes, mode, env, signal, update = false } = options;
  const { repository, ref, python, torch, extras } = setup;
  const former = current?.recipe;
  const isThere = former?.repository === repository && former.ref === ref && !update;
  const commit = isThere ? former.commit : await commitOf(repository, ref, { env, signal });
  const isTorchThere = former !== undefined && former.torchIndexAsked === torch.index && !update;
  const torchIndex =
    torch.index !== 'auto'
      ? torch.index
      : isTorchThere
        ? former.torchIndex
        : await torchIndexFor(mode, { env, signal });
  const digest = nodes?.digest ?? former?.nodes;
  return {
    repository,
    ref,
    commit,
    python,
    torch: [...torch.requirements],
    torchIndex,
    torchIndexAsked: torch.index,
    extras: [...extras],
    ...(digest === undefined ? {} : { nodes: digest }),
  };
}

async function commitOf(
  url: string,
  ref: string,
  options: { env: SetupOptions['env']; signal: AbortSignal | undefined },
): Promise<string> {
  expectGitUrl(url);
  expectGitRef(url, ref);
  const commit = await new Git(options).remoteCommit({ url, ref });
  if (commit === undefined) throw new RefUnclearError({ url, ref });
  return commit;
}
