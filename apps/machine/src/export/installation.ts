import { userInfo } from 'node:os';
import { delimiter, dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Settings } from '../settings.ts';
import { version } from '../version.ts';

/** What the files of a service manager have to know of this installation. Paths are absolute. */
export interface Installation {
  /** The Node that runs mgpu. */
  readonly node: string;
  /** The program that Node runs. */
  readonly program: string;
  readonly version: string;
  /** The repository that it runs from; undefined when it was installed from npm. */
  readonly checkout: string | undefined;
  readonly root: string;
  /** Configuration file, where there is one. */
  readonly config: string | undefined;
  /** Where the daemon is started. */
  readonly folder: string;
  /** `NAME=value` lines for the daemon, read where the file exists: nothing of an environment is in an export. */
  readonly environmentFile: string;
  readonly path: string;
  readonly home: string;
  readonly user: string;
  /** Ports that whoever is elsewhere asks: of the HTTP API and of nginx, as far as they are enabled. */
  readonly ports: readonly number[];
  readonly usesGpus: boolean;
  /** Seconds that a stop may take: jobs in hand, then engines. */
  readonly stopSeconds: number;
}

/** For engines to end when the workers have drained, where none is given longer. */
const engineStopMs = 60_000;
/** For whoever has to be killed after that. */
const killMs = 20_000;

export function installationOf({ config, env, file, layout }: Settings, cwd: string): Installation {
  const own = dirname(fileURLToPath(import.meta.resolve('@mgpu/machine/package.json')));
  const folder = file === undefined ? cwd : dirname(file);
  const { http, nginx, worker } = config.services;
  const { homedir, username } = userInfo();
  const drainMs = worker?.enabled ? Number(worker.drainMs) : 0;
  const graceMs = Object.values(config.services).map((each) => (each.enabled ? Number(each.graceMs ?? 0) : 0));
  return {
    node: process.execPath,
    program: join(own, 'bin/mgpu.js'),
    version,
    checkout: own.includes(`${sep}node_modules${sep}`) ? undefined : join(own, '../..'),
    root: layout.root,
    config: file,
    folder,
    environmentFile: join(folder, 'mgpu.env'),
    path: lastingPath(env.PATH ?? ''),
    home: env.HOME ?? homedir,
    user: username,
    ports: [http, nginx].flatMap((each) => (each?.enabled ? [Number(each.port)] : [])),
    usesGpus: config.machine.gpu.mode === 'auto' || config.machine.gpu.mode === 'nvidia',
    stopSeconds: Math.ceil((drainMs + Math.max(engineStopMs, ...graceMs.map((ms) => ms + killMs))) / 1_000),
  };
}

/** Without the folders that npm puts in front for a single command. */
const lastingPath = (path: string) =>
  path
    .split(delimiter)
    .filter((folder) => !/node_modules\/\.bin$|node-gyp-bin$/.test(folder))
    .join(delimiter);
