import { writeFileAtomically } from '../files/atomic.ts';
import { packageName } from './package-name.ts';
import { anySource, type PackageSources } from './package-sources.ts';
import type { PythonEnvironment } from './python-environment.ts';

/** Packages that come from one build and must stay together. */
const torchFamily = ['torch', 'torchvision', 'torchaudio'];

/** Where torch comes from: `index` alone; with `packages`, and offline, where every other package does. */
export function torchSources(index: string, sources: PackageSources = anySource): PackageSources {
  if (index === 'packages' || sources.offline) return sources;
  return { ...sources, index, extraIndexes: [] };
}

/** Writes constraints to a file by which whatever is installed later has to take torch as it is now. */
export async function pinTorch(python: PythonEnvironment, file: string): Promise<void> {
  const installed = await python.installed();
  const pins = torchFamily.flatMap((name) => {
    const version = installed.get(packageName(name));
    return version === undefined ? [] : [`${name}==${version}`];
  });
  await writeFileAtomically(file, `${pins.join('\n')}\n`, 0o644);
}
