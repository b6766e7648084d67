import { type GitAccessConfig, prepareGitAccess } from '@mgpu/access';
import type { Fleet } from '@mgpu/comfyui/setup';
import { type FindGpusOptions, findGpus, type GpuPreference, gitEnvironment } from '@mgpu/core';
import { environmentOfOthers } from './environment-of-others.ts';
import type { Settings } from './settings.ts';

/** Of a machine none of whose engines runs what is installed. */
export const noFleet: Fleet = { engines: async () => [], move: async () => {} };

/** What torch is to run on. */
export async function torchMode(preference: GpuPreference, options: FindGpusOptions): Promise<'nvidia' | 'cpu'> {
  const { gpus } = await findGpus(preference, options);
  return gpus.some(({ mode }) => mode === 'nvidia') ? 'nvidia' : 'cpu';
}

/**
 * What Git and package installers of a command inherit: with the machine's credentials, written where the command itself is
 * given a deploy key. One that was given to the daemon alone stays. `onProblem` is told what is wrong with the key.
 */
export async function installerEnvironment(
  { config, definitions, layout, env: whole }: Pick<Settings, 'config' | 'definitions' | 'layout' | 'env'>,
  { signal, onProblem }: { signal: AbortSignal; onProblem: (message: string) => void },
): Promise<Settings['env']> {
  const env = environmentOfOthers({ definitions, env: whole });
  const access = config.services['git-access'] as unknown as GitAccessConfig | undefined;
  if (!access?.enabled) return env;
  if (access.deployKey ?? access.deployKeyParts ?? access.deployKeyFile) {
    const { problem } = await prepareGitAccess(access, { layout, env, signal });
    if (problem) onProblem(problem.message);
  }
  return gitEnvironment(layout, env);
}
