import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import type { Layout } from '@mgpu/core';
import { Git } from '@mgpu/core/git';
import { torchIndexFor } from '@mgpu/core/python';
import type { A1111Config } from '../config.ts';
import { RefUnclearError } from '../errors.ts';
import { buildInstallation, type SetupProgress } from './build-installation.ts';
import type { Installation } from './installation.ts';
import { InstallationStore } from './installation-store.ts';
import { isSameRecipe, type Recipe, recipeOf } from './recipe.ts';

export interface SetupOptions extends Pick<A1111Config, 'setup' | 'xformers'> {
  readonly layout: Pick<Layout, 'engines'>;
  /** What torch is to run on; asked when that matters. */
  readonly mode: () => Promise<'nvidia' | 'cpu'>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal | undefined;
  /** Looks a branch or tag, and the driver, up again. */
  readonly update?: boolean | undefined;
  readonly onProgress?: ((progress: SetupProgress) => void) | undefined;
}

export interface SetupResult {
  readonly installation: Installation;
  /** False: it was there and in force already. */
  readonly changed: boolean;
}

/**
 * Brings Automatic1111 to what the configuration asks for: a new installation beside what runs, which instances take at
 * their next start. An interrupted one is gone on with; nothing to do is known without the network. Throws
 * `CORE_FOLDER_BUSY` while somebody else does so, `A1111_REF_UNCLEAR`, `CORE_TORCH_INDEX`, and as `buildInstallation`.
 */
export async function setUp(options: SetupOptions): Promise<SetupResult> {
  const store = new InstallationStore(options.layout);
  using _ = await store.lock();
  const recipe = recipeOf(options.setup, options);
  const current = await store.current();
  const isWanted = (each: Installation) => isSameRecipe(each.recipe, recipe);
  if (current && isWanted(current) && !options.update) return { installation: current, changed: false };
  const known = options.update ? undefined : (await store.list()).findLast(isWanted);
  const installation = known ?? (await make(store, recipe, options));
  if (installation.id === current?.id) return { installation, changed: false };
  await store.activate(installation);
  return { installation, changed: true };
}

async function make(store: InstallationStore, recipe: Recipe, options: SetupOptions): Promise<Installation> {
  const { setup, mode, env, signal, onProgress } = options;
  const on = await mode();
  const commit = await commitOf(recipe, { env, signal });
  const { cudaVersions } = recipe;
  const torchIndex =
    recipe.torchIndex === 'auto' ? await torchIndexFor(on, { env, signal, cudaVersions }) : recipe.torchIndex;
  const id = `${commit.slice(0, 7)}-${digest([recipe, commit, torchIndex])}`;
  const known = (await store.list()).find((each) => each.id === id);
  if (known) return known;
  await mkdir(store.cache, { recursive: true });
  return buildInstallation({
    dir: store.folder(id),
    recipe,
    commit,
    torchIndex,
    cache: store.cache,
    env,
    python: { installer: setup.installer, sources: setup.packages },
    expectGpu: on === 'nvidia',
    signal,
    onProgress,
  });
}

async function commitOf(
  { repository: url, ref }: Recipe,
  options: { env: SetupOptions['env']; signal: AbortSignal | undefined },
): Promise<string> {
  const commit = await new Git(options).remoteCommit({ url, ref });
  if (commit === undefined) throw new RefUnclearError({ url, ref });
  return commit;
}

const digest = (value: unknown) => createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 8);
