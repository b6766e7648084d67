import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ignoreMissing, type Logger, versionedFile } from '@mgpu/core';
import { PythonEnvironment, type PythonOptions } from '@mgpu/core/python';
import { z } from 'zod';
import { type Installation, installationFolders } from './installation.ts';

const stateSchema = z.object({
  /** By extension, what its installer was when it last succeeded. */
  installed: z.record(z.string(), z.string()),
});

export interface InstallExtensionsOptions {
  readonly installation: Installation;
  /** The shared folder of extensions. */
  readonly extensions: string;
  readonly python: PythonOptions;
  readonly log: Logger;
}

/**
 * Runs `install.py` of each extension that is new to this installation or has changed, as the program would at every start.
 * A failure is a warning and is tried again the next time: the program, too, goes on without.
 */
export async function installExtensions(options: InstallExtensionsOptions): Promise<void> {
  const { installation, extensions, python, log } = options;
  const folders = installationFolders(installation.dir);
  const file = versionedFile(folders.extensions, 1, stateSchema);
  const { installed } = file.read() ?? { installed: {} };
  const environment = new PythonEnvironment(folders.environment, python);
  for (const name of await foldersIn(extensions)) {
    const dir = join(extensions, name);
    const digest = await digestOf(dir);
    if (digest === undefined || installed[name] === digest) continue;
    log.info(`installing what the extension ${name} needs`);
    const answer = await environment.run([join(dir, 'install.py')], {
      cwd: folders.checkout,
      // It imports the program's own modules.
      env: { PYTHONPATH: folders.checkout, GIT_TERMINAL_PROMPT: '0' },
      constraints: folders.pins,
    });
    python.signal?.throwIfAborted();
    if (answer.ok) {
      installed[name] = digest;
      await file.write({ installed });
    } else {
      const words = answer.lastLines.slice(-3).join(' | ');
      log.warn(`the extension ${name} could not install what it needs: ${answer.problem}; last words: ${words}`);
    }
  }
}

async function foldersIn(dir: string): Promise<readonly string[]> {
  const entries = (await readdir(dir).catch(ignoreMissing)) ?? [];
  const found = await Promise.all(
    entries
      .toSorted()
      .map(async (name) => ((await stat(join(dir, name)).catch(ignoreMissing))?.isDirectory() ? [name] : [])),
  );
  return found.flat();
}

/** Of what decides what an installer does; undefined for an extension without one. */
async function digestOf(dir: string): Promise<string | undefined> {
  const read = (name: string) => readFile(join(dir, name)).catch(ignoreMissing);
  const [installer, requirements] = [await read('install.py'), await read('requirements.txt')];
  if (installer === undefined) return undefined;
  return createHash('sha256')
    .update(installer)
    .update('\0')
    .update(requirements ?? '')
    .digest('hex');
}
