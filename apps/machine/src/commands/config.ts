import { type AnyServiceDefinition, configJsonSchema, environmentBindings, findGpus, planMachine } from '@mgpu/core';
import { stringify } from 'yaml';
import { configReport } from '../config-report.ts';
import { paint } from '../print/colours.ts';
import { paragraph } from '../print/text.ts';
import { definitions } from '../services.ts';
import { loadSettings, type SettingsOptions } from '../settings.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';

/** Prints the configuration in force, secrets left out. */
export async function configShow({ output, settings }: CommandContext): Promise<ExitCode> {
  const report = configReport(await loadSettings(settings));
  output.data('Config', report);
  output.line(`# ${report.file ?? 'no file: defaults and environment'}\n${stringify(report.config).trimEnd()}`);
  return exitCodes.done;
}

/** Says whether the configuration is valid and fits this machine; every problem otherwise. */
export async function configValidate({ output, settings }: CommandContext): Promise<ExitCode> {
  const { file, definitions: known, config } = await loadSettings(settings);
  planMachine(known, config, await findGpus(config.machine.gpu));
  output.data('ConfigValid', { file: file ?? null });
  output.line(`valid: ${file ?? 'defaults and environment'}`);
  return exitCodes.done;
}

/** What can be configured, plugins included; when the file cannot be read, what the stock machine is made of. */
function knownTo(settings: SettingsOptions): Promise<readonly AnyServiceDefinition[]> {
  return loadSettings(settings).then(
    (loaded) => loaded.definitions,
    () => definitions,
  );
}

/** Prints the JSON Schema of the configuration file. */
export async function configSchema({ output, settings }: CommandContext): Promise<ExitCode> {
  const schema = configJsonSchema(await knownTo(settings));
  output.data('ConfigSchema', schema);
  output.line(JSON.stringify(schema, null, 2));
  return exitCodes.done;
}

/** Prints the environment variables that are understood. */
export async function configEnvironment({ output, settings }: CommandContext): Promise<ExitCode> {
  const bindings = environmentBindings(await knownTo(settings));
  const rows = bindings.map(({ name, path, summary }) => ({ name, key: path.join('.'), summary }));
  output.data('Environment', rows);
  // One below the other: names and keys are too long for three columns.
  for (const { name, key, summary } of rows) output.line(`${name}  ${paint.dim(key)}\n${paragraph('  ', summary)}`);
  return exitCodes.done;
}
