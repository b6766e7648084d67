import { extname, join, resolve } from 'node:path';
import { environmentBindings } from '@mgpu/core';
import { dockerFiles } from '../export/docker.ts';
import { type ExportedFile, writeExported } from '../export/exported-file.ts';
import { type InitService, initFiles, initServices } from '../export/init.ts';
import { type Installation, installationOf } from '../export/installation.ts';
import { pm2Files } from '../export/pm2.ts';
import { systemdFiles } from '../export/systemd.ts';
import { loadSettings } from '../settings.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';

export interface ExportFlags {
  /** The folder for the files, or the file where there is one alone; without it they are printed. */
  readonly out?: string;
  readonly force?: boolean;
}

/** An ecosystem file for PM2. */
export async function exportPm2(context: CommandContext, flags: ExportFlags): Promise<ExitCode> {
  return hand(context, flags, pm2Files(await installation(context)));
}

/** A unit for systemd. */
export async function exportSystemd(
  context: CommandContext,
  flags: ExportFlags & { user?: string },
): Promise<ExitCode> {
  const own = await installation(context);
  return hand(context, flags, systemdFiles({ ...own, user: flags.user ?? own.user }));
}

/** A Dockerfile with its compose file. */
export async function exportDocker(context: CommandContext, flags: ExportFlags): Promise<ExitCode> {
  const folder = resolve(context.settings.cwd, flags.out ?? '.');
  return hand(context, flags, dockerFiles(await installation(context), folder));
}

/** A script for each service that `/etc/init.d` had, where it is enabled or asked for. */
export async function exportInit(
  context: CommandContext,
  services: readonly InitService[],
  flags: ExportFlags,
): Promise<ExitCode> {
  const { config } = await loadSettings(context.settings);
  const chosen = services.length > 0 ? services : initServices.filter((name) => config.services[name]?.enabled);
  return hand(context, flags, initFiles(await installation(context), chosen));
}

async function installation({ output, settings }: CommandContext): Promise<Installation> {
  const loaded = await loadSettings(settings);
  const own = installationOf(loaded, settings.cwd);
  const unsaid = environmentBindings(loaded.definitions).filter(({ name }) => settings.env[name] !== undefined);
  if (unsaid.length > 0) {
    const names = unsaid.map(({ name }) => name).join(', ');
    output.notice(
      `set here, and not in the export: ${names}. Put them into ${own.environmentFile} where they are to count`,
    );
  }
  if (own.program.includes('/_npx/'))
    output.notice(`${own.program} is in the cache of npx, which may be emptied: install mgpu first`);
  return own;
}

/** Prints the files, or writes them where they belong. Throws `MACHINE_FILE_IN_THE_WAY`. */
async function hand(
  { output, settings: { cwd } }: CommandContext,
  { out, force = false }: ExportFlags,
  files: readonly ExportedFile[],
): Promise<ExitCode> {
  if (out === undefined) {
    for (const { name, content } of files) output.line(`${files.length > 1 ? `# ${name}\n` : ''}${content}`);
    output.data('Export', { files });
    return exitCodes.done;
  }
  // A name without an extension, as those of /etc/init.d, says what is called: --out is its folder.
  const isFile = (name: string) => files.length === 1 && extname(name) !== '' && extname(out) === extname(name);
  const pathOf = (name: string) => (isFile(name) ? out : join(out, name));
  const placed = files.map((file) => ({ ...file, path: resolve(cwd, pathOf(file.name)) }));
  await writeExported(placed, { force });
  for (const { path } of placed) output.line(`wrote ${path}`);
  output.data('Export', { files: placed });
  return exitCodes.done;
}
