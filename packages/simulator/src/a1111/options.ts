import { basename, dirname, join, resolve } from 'node:path';
import { type ParsedFlags, parseFlags } from '../python/argparse.ts';
import { flagsOf } from './flags.ts';
import type { A1111Simulation } from './script.ts';

/** What the simulator makes of the command line. */
export interface Options {
  readonly flags: ParsedFlags;
  readonly host: string;
  readonly port: number;
  readonly webPage: boolean;
  readonly api: boolean;
  readonly cpu: boolean;
  readonly dataDir: string;
  readonly settingsFile: string;
  /** Folders of checkpoints, the program's own first. */
  readonly checkpointDirs: readonly string[];
  /** `user:password` of each who may ask the API; empty: everybody. */
  readonly credentials: readonly string[];
  readonly canBeStopped: boolean;
  readonly loadsModelAtStart: boolean;
}

/** Reads what follows the program name; a first `launch.py` (with any folder) names the install folder. Throws UsageError. */
export function readOptions(args: readonly string[], simulation: A1111Simulation, cwd: string): Options {
  const script = args[0] !== undefined && /^(launch|webui)\.py$/.test(basename(args[0])) ? args[0] : undefined;
  const flags = parseFlags(script === undefined ? args : args.slice(1), flagsOf(simulation.flavour));
  const has = (name: string) => flags.has(name);
  const value = (name: string) => flags.get(name)?.[0];
  const install = script === undefined ? cwd : dirname(resolve(cwd, script));
  const dataDir = resolve(cwd, value('--data-dir') ?? install);
  const models = resolve(cwd, value('--models-dir') ?? join(dataDir, 'models'));
  const more = value('--ckpt-dir');
  const webPage = !has('--nowebui');
  return {
    flags,
    host: value('--server-name') ?? (has('--listen') ? '0.0.0.0' : '127.0.0.1'),
    port: Number(value('--port') ?? (webPage ? 7860 : 7861)),
    webPage,
    api: !webPage || has('--api'),
    cpu: has('--always-cpu') || (flags.get('--use-cpu') ?? []).includes('all'),
    dataDir,
    settingsFile: resolve(cwd, value('--ui-settings-file') ?? join(dataDir, 'config.json')),
    checkpointDirs: [join(models, 'Stable-diffusion'), ...(more === undefined ? [] : [resolve(cwd, more)])],
    credentials: value('--api-auth')?.split(',') ?? [],
    canBeStopped: has('--api-server-stop'),
    loadsModelAtStart: !has('--skip-load-model-at-start') && !has('--ui-debug-mode'),
  };
}

/** What `/sdapi/v1/cmd-flags` answers: every flag by its name in Python; those of the command line with their values. */
export function commandFlags({ flags, dataDir, settingsFile }: Options, flavour: A1111Simulation['flavour']): object {
  const all = flagsOf(flavour).map(({ name, arity, type, append }) => {
    const given = flags.get(name);
    const read = (text: string) => (type === 'int' ? Number(text) : text);
    const many = arity === 'many' || append === true;
    const unset = arity === 'none' ? false : many ? [] : null;
    const found = given === undefined ? unset : arity === 'none' ? true : many ? given : read(given[0] as string);
    return [name.replace(/^-+/, '').replaceAll('-', '_'), found];
  });
  return { ...Object.fromEntries(all), data_dir: dataDir, ui_settings_file: settingsFile };
}
