import { lstat, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Layout } from '@mgpu/core';
import { privateFolderOf, statusSocketOf } from './private-folder.ts';

/** Where everything of one nginx lies. */
export interface NginxFiles {
  /** nginx's prefix: configuration, temporary files, access log. */
  readonly folder: string;
  readonly config: string;
  /** The configuration that is being checked. */
  readonly next: string;
  readonly statusSocket: string;
  /** Users, where the workers are the same account as we are. */
  readonly ownUsers: string;
  /** Users, where the workers are another account. */
  readonly sharedUsers: string;
  /** Holds what cannot lie below the root. */
  readonly privateFolder: string;
}

export function filesOf(layout: Layout, id: string): NginxFiles {
  const folder = layout.instance(id);
  const privateFolder = privateFolderOf(layout);
  return {
    folder,
    config: join(folder, 'nginx.conf'),
    next: join(folder, 'nginx.next.conf'),
    statusSocket: statusSocketOf(layout),
    ownUsers: join(layout.run, 'nginx-users'),
    sharedUsers: join(privateFolder, 'users'),
    privateFolder,
  };
}

/** Removes what must not outlive a run: sockets and secrets. */
export async function removeTraces({ statusSocket, ownUsers, privateFolder }: NginxFiles): Promise<void> {
  for (const path of [statusSocket, ownUsers]) await rm(path, { force: true });
  // Where somebody else made the private folder, the start was refused, and it is not ours to remove.
  const facts = await lstat(privateFolder).catch(() => undefined); // there never was one
  if (facts && facts.uid === process.getuid?.()) await rm(privateFolder, { recursive: true, force: true });
}
