import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Endpoint, writeFileAtomically } from '@mgpu/core';
import { checkConfig } from './check-config.ts';
import type { NginxConfig } from './config.ts';
import type { NginxFiles } from './files.ts';
import { expectSocketPath, makePrivateFolder } from './private-folder.ts';
import { render } from './render.ts';
import { type ProxyRoute, planRoutes } from './routes.ts';
import { readUsers, writeUsers } from './users.ts';
import { findWorkerUser } from './worker-user.ts';

/** A configuration that nginx accepted, ready in `files.next`. */
export interface WrittenConfig {
  readonly routes: readonly ProxyRoute[];
  readonly generation: string;
  /** The users that may come in, as the workers read them. */
  readonly usersFile?: string;
}

export interface WriteConfigOptions {
  readonly instance: string;
  readonly config: NginxConfig;
  readonly program: string;
  readonly files: NginxFiles;
  readonly endpoints: readonly Endpoint[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal | undefined;
}

/** Renders the configuration for these endpoints beside the one in use and lets nginx check it. */
export async function writeConfig(options: WriteConfigOptions): Promise<WrittenConfig> {
  const { instance, config, program, files, endpoints, env, signal } = options;
  const { folder, next, statusSocket, privateFolder } = files;
  const routes = planRoutes(config, endpoints);
  const users = await readUsers(instance, config);
  const worker = await findWorkerUser(config.user);
  // Root's own folders are closed to the workers' account, which reads the users at every request.
  const group = users && worker && worker.user !== 'root' ? worker.gid : undefined;
  const usersFile = users && (group === undefined ? files.ownUsers : files.sharedUsers);

  expectSocketPath(instance, statusSocket);
  if (group !== undefined || dirname(statusSocket) === privateFolder) {
    await makePrivateFolder(instance, privateFolder, group);
  }
  for (const name of ['temp', 'logs']) await mkdir(join(folder, name), { recursive: true });
  const generation = randomUUID();
  const text = render({
    ...config,
    routes,
    folder,
    statusSocket,
    generation,
    ...(usersFile === undefined ? {} : { usersFile }),
    ...(worker === undefined ? {} : { workersAs: worker }),
  });
  await writeFileAtomically(next, text);
  await checkConfig(instance, program, next, { folder, env, signal });
  if (users && usersFile !== undefined) await writeUsers(usersFile, users, group);
  return { routes, generation, ...(usersFile === undefined ? {} : { usersFile }) };
}
