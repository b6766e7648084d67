import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PythonEnvironment } from '@mgpu/core/python';
import { type Constraints, constraintsOf } from './constraints.ts';

/** What is known of a Python environment, and of what binds the nodes in it. */
export interface Surroundings {
  readonly python: PythonEnvironment;
  readonly installed: ReadonlyMap<string, string>;
  readonly engineFiles: readonly string[];
  /** Which interpreter it is. */
  readonly interpreter: string;
  readonly pins: Readonly<Record<string, string>>;
}

/** `engineRequirements`: the engine's requirement files; `pins`: versions that packages must have. */
export async function readSurroundings(
  python: PythonEnvironment,
  engineRequirements: readonly string[],
  pins: Readonly<Record<string, string>>,
): Promise<Surroundings> {
  const [installed, interpreter, ...engineFiles] = await Promise.all([
    python.installed(),
    interpreterOf(python),
    ...engineRequirements.map((file) => readFile(file, 'utf8')),
  ]);
  return { python, installed, interpreter, engineFiles, pins };
}

export const constraintsIn = ({ installed, engineFiles, pins }: Surroundings): Constraints =>
  constraintsOf(installed, engineFiles, pins);

/** What failures and successes with requirements follow from besides the nodes. */
export const circumstancesOf = (surroundings: Surroundings, scripts: string): unknown => [
  surroundings.interpreter,
  constraintsIn(surroundings).text,
  scripts,
];

/** Which Python an environment is of; its path and how it was made do not matter. */
async function interpreterOf(python: PythonEnvironment): Promise<string> {
  const text = await readFile(join(python.dir, 'pyvenv.cfg'), 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter((line) => /^(home|version|version_info|implementation|include-system-site-packages)\s*=/.test(line))
    .sort()
    .join('\n');
}
