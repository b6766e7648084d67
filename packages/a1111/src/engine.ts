import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { findProgram, ignoreMissing, type Layout } from '@mgpu/core';
import { A1111DirMissingError, A1111PythonMissingError } from './errors.ts';
import { installationFolders } from './setup/installation.ts';
import { InstallationStore } from './setup/installation-store.ts';

/** The program that takes launch.py's arguments, and what is known about it. */
export interface Engine {
  readonly file: string;
  readonly args: readonly string[];
  /** Undefined for a program given as `command`. */
  readonly dir?: string;
  /** Forge has flags of its own. */
  readonly isForge: boolean;
  /** A checkout of the user's: nothing is written into it. */
  readonly isOurs: boolean;
}

export interface EngineOptions {
  readonly dir?: string | undefined;
  readonly python?: string | undefined;
  readonly command?: readonly string[] | undefined;
}

interface Surroundings {
  readonly layout: Layout;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Finds what runs: the installation in force, or a checkout of the user's own, and its Python. Throws `A1111_DIR_MISSING` and
 * `A1111_PYTHON_MISSING`.
 */
export async function findEngine(options: EngineOptions, { layout, env }: Surroundings): Promise<Engine> {
  const [program, ...first] = options.command ?? [];
  if (program !== undefined) return { file: program, args: first, isForge: false, isOurs: true };
  const store = new InstallationStore(layout);
  const installation = options.dir === undefined ? await store.current() : undefined;
  // By its own path, not by the link's: what runs stays what it is when another installation comes into force.
  const folders = installation && installationFolders(installation.dir);
  const dir = folders?.checkout ?? resolve(options.dir ?? join(store.dir, 'current'));
  const launcher = join(dir, 'launch.py');
  const problem = await whyNoCheckout(dir, launcher);
  if (problem !== undefined) throw new A1111DirMissingError({ dir, problem });
  const python = folders ? join(folders.environment, 'bin', 'python') : (options.python ?? (await pythonOfVenv(dir)));
  return {
    file: await findPython(dir, python, env),
    args: [launcher],
    dir,
    isForge: await isForge(dir),
    isOurs: folders !== undefined,
  };
}

/** Forge keeps what it adds in a folder of this name. */
export const isForge = async (checkout: string): Promise<boolean> =>
  (await stat(join(checkout, 'modules_forge')).catch(ignoreMissing)) !== undefined;

async function whyNoCheckout(dir: string, launcher: string): Promise<string | undefined> {
  const isFolder = await stat(dir).then((found) => found.isDirectory(), ignoreMissing);
  if (isFolder === undefined) return 'the folder does not exist';
  if (!isFolder) return 'it is no folder';
  return (await stat(launcher).catch(ignoreMissing)) ? undefined : 'launch.py is not in it';
}

async function findPython(dir: string, python: string | undefined, env: Surroundings['env']): Promise<string> {
  if (python === undefined) throw new A1111PythonMissingError({ python: join(dir, 'venv'), problem: 'does not exist' });
  const found = await findProgram([python.includes('/') ? resolve(python) : python], env);
  if (found !== undefined) return found;
  throw new A1111PythonMissingError({ python, problem: 'does not exist or may not be executed' });
}

/** Of the first venv, usable or not: silently taking another Python would end in a missing module somewhere else. */
async function pythonOfVenv(dir: string): Promise<string | undefined> {
  for (const venv of [join(dir, 'venv'), join(dir, '.venv')]) {
    if (await stat(venv).catch(ignoreMissing)) return join(venv, 'bin', 'python');
  }
  return undefined;
}
