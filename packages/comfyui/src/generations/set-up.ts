import { type Layout, type Logger, silentLogger } from '@mgpu/core';
import { Git } from '@mgpu/core/git';
import { PythonEnvironment, torchIndexFor } from '@mgpu/core/python';
import type { ComfyUISetup } from '../config.ts';
import { RefUnclearError } from '../errors.ts';
import {
  type BuildProgress,
  buildGeneration,
  type GenerationParts,
  type NodeChange,
  partsOf,
} from './build-generation.ts';
import { type Generation, generationFolders } from './generation.ts';
import { GenerationStore } from './generation-store.ts';
import { isSameRecipe, type Recipe } from './recipe.ts';
import { type Fleet, type RollOutOptions, rollOut } from './roll-out.ts';

interface CommonOptions extends RollOutOptions {
  readonly layout: Pick<Layout, 'engines'>;
  readonly setup: ComfyUISetup;
  /** What torch is to run on; asked when that matters. */
  readonly mode: () => Promise<'nvidia' | 'cpu'>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The instances of the machine. */
  readonly fleet: Fleet;
  /** Milliseconds that a start may take. */
  readonly startDeadlineMs: number;
  readonly log?: Logger | undefined;
  readonly onProgress?: ((progress: BuildProgress) => void) | undefined;
}

export interface SetupOptions extends CommonOptions {
  /** Looks a branch or tag up again that is there already. */
  readonly update?: boolean | undefined;
}

export interface NodeChangeOptions extends CommonOptions {
  readonly nodes: NodeChange;
  /** Commit of the engine. Default: the present one. */
  readonly commit?: string | undefined;
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
export async function setUp(options: SetupOptions): Promise<SetupResult> {
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
  if (changed) await rollOut(store, generation, fleet, options);
  return { generation, changed };
}

/**
 * Changes the custom nodes of the generation in force in a new one, and rolls that out. Undefined when nothing of the change
 * was to stay. Throws `COMFYUI_NO_GENERATION` before the first `setUp`, and as that.
 */
export async function changeNodes(options: NodeChangeOptions): Promise<Generation | undefined> {
  const { layout, nodes, fleet, commit } = options;
  const store = new GenerationStore(layout);
  using _ = await store.lock();
  await store.sweep();
  await store.untry();
  const parent = await store.expectCurrent();
  const recipe = { ...parent.recipe, ...(commit === undefined ? {} : { commit, ref: commit }) };
  const generation = await buildGeneration({ ...buildOptions(options), store, recipe, parent, nodes });
  if (generation) await rollOut(store, generation, fleet, options);
  return generation;
}

/** The parts of a generation, to be looked at. */
export function openParts(
  { dir }: Generation,
  { layout, env, signal, setup }: Pick<CommonOptions, 'layout' | 'env' | 'signal' | 'setup'>,
): GenerationParts {
  const folders = generationFolders(dir);
  const { cache } = new GenerationStore(layout);
  const options = { env, signal, installer: setup.installer, sources: setup.packages, cache };
  return partsOf(folders, new PythonEnvironment(folders.environment, options));
}

/**
 * The generation that the configuration asks for: the present one when it is that already, else one that was made before,
 * else a new one, made from the present one. Nothing runs it yet.
 */
async function prepareGeneration(store: GenerationStore, options: SetupOptions): Promise<Generation> {
  const current = await store.current();
  const recipe = await recipeFor(current, options);
  if (current && isSameRecipe(current.recipe, recipe)) return current;
  const known = (await store.list()).findLast((each) => isSameRecipe(each.recipe, recipe));
  if (known) return known;
  const made = await buildGeneration({ ...buildOptions(options), store, recipe, parent: current });
  if (!made) throw new TypeError('only a change of nodes comes to nothing');
  return made;
}

function buildOptions({ setup, mode, log = silentLogger, ...rest }: CommonOptions) {
  const { env, signal, startDeadlineMs, onProgress } = rest;
  const python = { installer: setup.installer, sources: setup.packages };
  return { python, expectGpu: async () => (await mode()) === 'nvidia', log, env, signal, startDeadlineMs, onProgress };
}

async function recipeFor(current: Generation | undefined, options: SetupOptions): Promise<Recipe> {
  const { setup, mode, env, signal, update = false } = options;
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
        : await torchIndexFor(await mode(), { env, signal });
  return {
    repository,
    ref,
    commit,
    python,
    torch: [...torch.requirements],
    torchIndex,
    torchIndexAsked: torch.index,
    extras: [...extras],
    ...(former?.nodes === undefined ? {} : { nodes: former.nodes }),
  };
}

async function commitOf(
  url: string,
  ref: string,
  options: { env: SetupOptions['env']; signal: AbortSignal | undefined },
): Promise<string> {
  const commit = await new Git(options).remoteCommit({ url, ref });
  if (commit === undefined) throw new RefUnclearError({ url, ref });
  return commit;
}
