import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Fleet } from '../fleet.ts';

/** One folder per program with a `run` script: what runit and s6 read. Its path goes as it is into a shell line. */
export async function writeServices(
  { folder, programs }: Fleet,
  { logger }: { logger?: readonly string[] },
): Promise<{ readonly services: string; readonly folders: readonly string[] }> {
  const services = join(folder, 'services');
  const folders = programs.map(({ name }) => join(services, name));
  for (const { name, command } of programs) {
    await writeScript(join(services, name), command);
    if (logger) await writeScript(join(services, name, 'log'), logger);
  }
  return { services, folders };
}

async function writeScript(folder: string, command: readonly string[]): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'run'), `#!/bin/sh\nexec ${command.join(' ')}\n`, { mode: 0o755 });
}
