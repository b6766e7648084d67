import { join } from 'node:path';
import { coreErrors, findProgram, type Layout } from '@mgpu/core';
import type { InstanceConfig } from '../config.ts';
import { OllamaMissingError } from '../errors.ts';

/** Program and first arguments. */
export interface Program {
  readonly file: string;
  readonly args: readonly string[];
}

export interface Surroundings {
  readonly layout: Layout;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Where mgpu keeps the releases it downloaded. */
export const releasesDir = (layout: Layout): string => join(layout.engines, 'ollama');

/** The program of a downloaded release. */
export const releaseProgram = (layout: Layout, version: string): string =>
  join(releasesDir(layout), version, 'bin', 'ollama');

/**
 * The Ollama to run: the configured one, the one in PATH, or a downloaded one. Throws `CORE_PROGRAM_PATH` when there is no such
 * configured one, and `OLLAMA_MISSING`.
 */
export async function locateProgram(
  { program, command, download }: Pick<InstanceConfig, 'program' | 'command' | 'download'>,
  { layout, env }: Surroundings,
): Promise<Program> {
  if (command !== undefined) {
    const [file = '', ...args] = command;
    return { file, args };
  }
  const names = program === undefined ? ['ollama', releaseProgram(layout, download.version)] : [program];
  const file = await findProgram(names, env);
  if (file !== undefined) return { file, args: [] };
  if (program === undefined) throw new OllamaMissingError({ looked: names });
  throw new coreErrors.ProgramPathError({ program: 'Ollama', path: program, key: 'services.ollama.program' });
}
