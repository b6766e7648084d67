import { join } from 'node:path';
import { instanceSocketPath, type Layout, privateFolderOf } from '@mgpu/core';

/** Where everything of one nginx lies. */
export interface NginxFiles {
  /** nginx's prefix: configuration, temporary files, access log. */
  readonly folder: string;
  readonly config: string;
  /** The configuration that is being checked. */
  readonly next: string;
  readonly statusSocket: string;
  /** Folder of the users, where the workers are the same account as we are. */
  readonly ownUsers: string;
  /** Folder of the users, where the workers are another account, to which the root is closed. */
  readonly sharedUsers: string;
}

export function filesOf(layout: Layout, id: string): NginxFiles {
  const folder = layout.instance(id);
  return {
    folder,
    config: join(folder, 'nginx.conf'),
    next: join(folder, 'nginx.next.conf'),
    statusSocket: instanceSocketPath(layout, id),
    ownUsers: join(layout.run, `${id}-users`),
    sharedUsers: privateFolderOf(layout, `${id}-users`),
  };
}
