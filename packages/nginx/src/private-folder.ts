import { createHash } from 'node:crypto';
import { chmod, chown, lstat, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Layout } from '@mgpu/core';
import { SocketPathError } from './errors.ts';

/** Bytes of `sun_path` without its final zero, see unix(7). */
const longestPath = process.platform === 'linux' ? 107 : 103;

/**
 * A folder of ours among the system's temporary ones, whose name follows from the root: for what cannot lie below a
 * root that is too deep for sockets, or closed to nginx's workers.
 */
export function privateFolderOf({ root }: Layout): string {
  const key = createHash('sha256').update(root).digest('hex').slice(0, 16);
  return join(tmpdir(), `mgpu-nginx-${process.getuid?.() ?? 0}-${key}`);
}

/** Where the status socket of a root lies: `run/nginx-status.sock` where that is short enough. */
export function statusSocketOf(layout: Layout): string {
  const own = join(layout.run, 'nginx-status.sock');
  return Buffer.byteLength(own) <= longestPath ? own : join(privateFolderOf(layout), 'status.sock');
}

/**
 * Makes the private folder, which members of the group may pass through but not read. Throws `NGINX_SOCKET_PATH` when
 * somebody else made it first.
 */
export async function makePrivateFolder(instance: string, folder: string, group?: number): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const facts = await lstat(folder);
  const refuse = (problem: string) => new SocketPathError({ instance, path: folder, problem });
  if (!facts.isDirectory()) throw refuse('it is no folder');
  if (process.getuid && facts.uid !== process.getuid()) throw refuse(`it belongs to user ${facts.uid}`);
  if ((facts.mode & 0o022) !== 0) throw refuse('others may write to it');
  if (group === undefined) return;
  await chown(folder, facts.uid, group);
  await chmod(folder, 0o710);
}

/** Throws `NGINX_SOCKET_PATH` for a path longer than the system allows. */
export function expectSocketPath(instance: string, path: string): void {
  const length = Buffer.byteLength(path);
  if (length <= longestPath) return;
  const problem = `it has ${length} bytes, the system allows ${longestPath}`;
  throw new SocketPathError({ instance, path: dirname(path), problem });
}
