import { configJsonSchema, environmentBindings, redact } from '@mgpu/core';
import { stringify } from 'yaml';
import { definitions } from '../services.ts';
import { loadSettings } from '../settings.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';

/** Prints the configuration in force, secrets left out. */
export async function configShow({ output, settings }: CommandContext): Promise<ExitCode> {
  const { config, file, layout } = await loadSettings(settings);
  const shown = redact({ ...config, machine: { ...config.machine, root: layout.root } });
  output.data('Config', { file: file ?? null, config: shown });
  output.line(`# ${file ?? 'no file: defaults and environment'}\n${stringify(shown).trimEnd()}`);
  return exitCodes.done;
}

/** Says whether the configuration is valid; every problem otherwise. */
export async function configValidate({ output, settings }: CommandContext): Promise<ExitCode> {
  const { file } = await loadSettings(settings);
  output.data('ConfigValid', { file: file ?? null });
  output.line(`valid: ${file ?? 'defaults and environment'}`);
  return exitCodes.done;
}

/** Prints the JSON Schema of the configuration file. */
export async function configSchema({ settings }: CommandContext, print: (text: string) => void): Promise<ExitCode> {
  // Plugins are part of the schema, so the file is read where it can be; an invalid one still gets the stock schema.
  const known = await loadSettings(settings).then(
    (loaded) => loaded.definitions,
    () => definitions,
  );
  print(`${JSON.stringify(configJsonSchema(known), null, 2)}\n`);
  return exitCodes.done;
}

/** Prints the environment variables that are understood. */
export async function configEnvironment({ output }: CommandContext): Promise<ExitCode> {
  const rows = environmentBindings(definitions).map(({ name, path, summary }) => ({
    name,
    key: path.join('.'),
    summary,
  }));
  output.data('Environment', rows);
  for (const { name, key, summary } of rows) output.line(`${name.padEnd(28)} ${key.padEnd(34)} ${summary}`);
  return exitCodes.done;
}
