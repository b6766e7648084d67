import { createHash } from 'node:crypto';
import { lstat, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Layout } from '@mgpu/core';
import { RedisSocketPathError } from './errors.ts';

/** Bytes of `sun_path` without its final zero, see unix(7). */
const longestPath = process.platform === 'linux' ? 107 : 103;
const bytes = (path: string) => Buffer.byteLength(path);

/**
 * Where the socket of a root lies: `run/redis.sock`, or, below a root too deep for a socket, a folder of the system's
 * temporary one whose name follows from the root.
 */
export function socketPathOf({ root, run }: Layout): string {
  const own = join(run, 'redis.sock');
  if (bytes(own) <= longestPath) return own;
  const key = createHash('sha256').update(root).digest('hex').slice(0, 16);
  return join(tmpdir(), `mgpu-redis-${process.getuid?.() ?? 0}-${key}`, 'redis.sock');
}

/** Makes the socket's folder, mode 0700. Throws `REDIS_SOCKET_PATH` when the path is too long or the folder not ours. */
export async function prepareSocketFolder(instance: string, path: string): Promise<void> {
  const refuse = (problem: string) => new RedisSocketPathError({ instance, path, problem });
  if (bytes(path) > longestPath) throw refuse(`it has ${bytes(path)} bytes, the system allows ${longestPath}`);
  const folder = dirname(path);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  // In a folder everybody may write to, somebody else could have made it first.
  const facts = await lstat(folder);
  if (!facts.isDirectory()) throw refuse(`${folder} is no folder`);
  if (process.getuid && facts.uid !== process.getuid()) throw refuse(`${folder} belongs to user ${facts.uid}`);
  if ((facts.mode & 0o022) !== 0) throw refuse(`${folder} may be written to by others`);
}
