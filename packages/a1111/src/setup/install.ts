import { findGpus, type InstallContext, type Logger, reportError } from '@mgpu/core';
import type { A1111Config } from '../config.ts';
import { linkAliases, makeSharedFolders, sharedFolders } from '../folders.ts';
import type { SetupProgress } from './build-installation.ts';
import { cloneModels } from './clone-models.ts';
import { installExtensions } from './install-extensions.ts';
import { InstallationStore } from './installation-store.ts';
import { type SetupResult, setUp } from './set-up.ts';

export interface InstallOptions {
  /** Looks a branch or tag, and the driver, up again. */
  readonly update?: boolean | undefined;
  /** Default: each step is told to the log. */
  readonly onProgress?: (progress: SetupProgress) => void;
}

export interface InstallResult extends SetupResult {
  /** Ids of former installations that were removed. */
  readonly removed: readonly string[];
}

/**
 * What a machine does before its instances start: the program, what its extensions need, and the shared models' names. Removes
 * former installations that nobody needs. Throws as `setUp`.
 */
export async function install(
  context: Omit<InstallContext, 'machine' | 'clock'>,
  config: A1111Config,
  { update, onProgress = tellSteps(context.log.info) }: InstallOptions = {},
): Promise<InstallResult> {
  const { layout, log, env, signal } = context;
  if (config.setup.models) await cloneModels(config.setup.models, { layout, env, log, signal });
  await makeSharedFolders(layout);
  await linkAliases(layout, config.aliases, log);
  const result = await setUp({
    layout,
    update,
    setup: config.setup,
    xformers: config.xformers,
    env,
    signal,
    mode: async () => {
      if (config.cpu) return 'cpu';
      const { gpus } = await findGpus({ count: 'auto', mode: 'auto' }, { env, signal, log });
      return gpus.some(({ mode }) => mode === 'nvidia') ? 'nvidia' : 'cpu';
    },
    onProgress,
  });
  const { installation, changed } = result;
  if (changed) log.info(`Automatic1111 ${installation.commit.slice(0, 7)} is installed (${installation.id})`);
  const { installer, packages: sources } = config.setup;
  const store = new InstallationStore(layout);
  await installExtensions({
    installation,
    extensions: sharedFolders(layout).extensions,
    python: { env, signal, installer, sources, cache: store.cache },
    log,
  });
  return { ...result, removed: await prune(store, log) };
}

/** Space that is not free again is no reason to be without the program. */
async function prune(store: InstallationStore, log: Logger): Promise<readonly string[]> {
  try {
    const removed = await store.prune();
    if (removed.length > 0) log.info(`former installations of Automatic1111 are removed: ${removed.join(', ')}`);
    return removed;
  } catch (error) {
    log.warn(`former installations of Automatic1111 are not removed: ${reportError(error).message}`, { error });
    return [];
  }
}

/** Each step once; its details are for those who watch. */
function tellSteps(tell: (message: string) => void): (progress: SetupProgress) => void {
  return ({ step, state, detail }) => {
    if (state === 'running' && detail === undefined) tell(`installing Automatic1111: ${step}`);
  };
}
