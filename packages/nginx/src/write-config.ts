import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Endpoint, writeFileAtomically } from '@mgpu/core';
import { checkConfig } from './check-config.ts';
import type { NginxConfig } from './config.ts';
import type { NginxFiles } from './files.ts';
import { render } from './render.ts';
import { planRoutes, portsOf } from './routes.ts';
import { readUsers, type UsersFolder, usersFileOf, writeUsers } from './users.ts';
import type { WorkerUser } from './worker-user.ts';

/** A configuration that nginx accepted, ready in `files.next`. */
export interface WrittenConfig {
  readonly generation: string;
  /** What it listens on. */
  readonly ports: readonly number[];
  /** The users that may come in, as the workers read them. */
  readonly usersFile: string | undefined;
}

/** What stays the same from one configuration of a run to the next. */
export interface ConfigSetup {
  readonly instance: string;
  readonly config: NginxConfig;
  readonly program: string;
  readonly files: NginxFiles;
  /** Patterns of the user's own files. */
  readonly includes: readonly string[];
  readonly worker: WorkerUser | undefined;
  /** Undefined when nobody is asked for a password. */
  readonly users: UsersFolder | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Renders the configuration for these endpoints beside the one in use and lets nginx check it. */
export async function writeConfig(
  { instance, config, program, files, includes, worker, users, env }: ConfigSetup,
  endpoints: readonly Endpoint[],
  signal: AbortSignal,
): Promise<WrittenConfig> {
  const { folder, next, statusSocket } = files;
  const routes = planRoutes(config, endpoints);
  for (const name of ['temp', 'logs']) await mkdir(join(folder, name), { recursive: true });
  const generation = randomUUID();
  const lines = users && (await readUsers(instance, config));
  const usersFile = users && usersFileOf(users, generation);
  const text = render({ ...config, routes, folder, includes, statusSocket, generation, usersFile, workersAs: worker });
  await writeFileAtomically(next, text);
  await checkConfig(instance, program, next, { folder, env, signal });
  if (users && lines) await writeUsers(users, generation, lines);
  return { generation, ports: [config.port, ...portsOf(routes)], usersFile };
}
