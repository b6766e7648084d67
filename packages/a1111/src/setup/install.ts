import { findGpus, type InstallContext } from '@mgpu/core';
import type { A1111Config } from '../config.ts';
import { linkAliases, makeSharedFolders, sharedFolders } from '../folders.ts';
import type { SetupProgress } from './build-installation.ts';
import { cloneModels } from './clone-models.ts';
import { installExtensions } from './install-extensions.ts';
import { InstallationStore } from './installation-store.ts';
import { setUp } from './set-up.ts';

/** What a machine does before its instances start: the program, what its extensions need, and the shared models' names. */
export async function install(context: Omit<InstallContext, 'machine' | 'clock'>, config: A1111Config): Promise<void> {
  const { layout, log, env, signal } = context;
  if (config.setup.models) await cloneModels(config.setup.models, { layout, env, log, signal });
  await makeSharedFolders(layout);
  await linkAliases(layout, config.aliases, log);
  const { installation, changed } = await setUp({
    layout,
    setup: config.setup,
    xformers: config.xformers,
    env,
    signal,
    mode: async () => {
      if (config.cpu) return 'cpu';
      const { gpus } = await findGpus({ count: 'auto', mode: 'auto' }, { env, signal, log });
      return gpus.some(({ mode }) => mode === 'nvidia') ? 'nvidia' : 'cpu';
    },
    onProgress: tellSteps(log.info),
  });
  if (changed) log.info(`Automatic1111 ${installation.commit.slice(0, 7)} is installed (${installation.id})`);
  const { installer, packages: sources } = config.setup;
  const { cache } = new InstallationStore(layout);
  await installExtensions({
    installation,
    extensions: sharedFolders(layout).extensions,
    python: { env, signal, installer, sources, cache },
    log,
  });
}

/** Each step once; its details are for those who watch. */
function tellSteps(tell: (message: string) => void): (progress: SetupProgress) => void {
  return ({ step, state, detail }) => {
    if (state === 'running' && detail === undefined) tell(`installing Automatic1111: ${step}`);
  };
}
