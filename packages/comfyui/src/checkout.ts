import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { findProgram, ignoreMissing, type Layout } from '@mgpu/core';
import { ComfyUIDirMissingError, ComfyUIPythonMissingError } from './errors.ts';
import { generationFolders } from './generations/generation.ts';
import { GenerationStore } from './generations/generation-store.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** The program that takes ComfyUI's arguments, and what is known about it. */
export interface Engine {
  readonly file: string;
  readonly args: readonly string[];
  /** Undefined for a program given as `command`. */
  readonly dir?: string;
}

export interface EngineOptions {
  readonly dir?: string | undefined;
  readonly python?: string | undefined;
  readonly command?: readonly string[] | undefined;
}

interface Surroundings {
  readonly layout: Layout;
  readonly env: Environment;
  /** Whose engine it is to be: it may be trying out a generation. */
  readonly instance?: string;
}

/**
 * Finds what runs: the generation in force, or a checkout of the user's own, and its Python. Throws `COMFYUI_DIR_MISSING` and
 * `COMFYUI_PYTHON_MISSING`.
 */
export async function findEngine(options: EngineOptions, { layout, env, instance }: Surroundings): Promise<Engine> {
  const [program, ...first] = options.command ?? [];
  if (program !== undefined) return { file: program, args: first };
  const store = new GenerationStore(layout);
  const generation = options.dir === undefined ? await store.current(instance) : undefined;
  // By its own path, not by a link's: what runs stays what it is when another generation comes into force.
  const dir = generation
    ? generationFolders(generation.dir).checkout
    : resolve(options.dir ?? join(store.dir, 'current'));
  const main = join(dir, 'main.py');
  const problem = await whyNoFile(dir, main);
  if (problem !== undefined) throw new ComfyUIDirMissingError({ dir, problem });
  const python = options.python ?? (generation && join(generationFolders(generation.dir).environment, 'bin', 'python'));
  const file = await findPython(dir, python, env);
  return { file, args: [main], dir };
}

async function whyNoFile(dir: string, main: string): Promise<string | undefined> {
  const isFolder = await stat(dir).then((found) => found.isDirectory(), ignoreMissing);
  if (isFolder === undefined) return 'the folder does not exist';
  if (!isFolder) return 'it is no folder';
  return (await stat(main).then((found) => found.isFile(), ignoreMissing)) ? undefined : 'main.py is not in it';
}

async function findPython(dir: string, given: string | undefined, env: Environment): Promise<string> {
  const wanted = given ?? (await pythonOfVenv(dir));
  const python = wanted ?? 'python3';
  const found = await findProgram([python.includes('/') ? resolve(python) : python], env);
  if (found !== undefined) return found;
  const problem =
    wanted === undefined ? `is not in PATH, and ${dir} has no venv` : 'does not exist or may not be executed';
  throw new ComfyUIPythonMissingError({ python, problem });
}

/** Of the first venv, usable or not: silently taking another Python would end in a missing module somewhere else. */
async function pythonOfVenv(dir: string): Promise<string | undefined> {
  for (const venv of [join(dir, 'venv'), join(dir, '.venv')]) {
    if (await stat(venv).catch(ignoreMissing)) return join(venv, 'bin', 'python');
  }
  return undefined;
}
