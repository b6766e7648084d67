import { link, rename, rm, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { SocketPathError } from './errors.ts';

/** Longest path a Unix socket can have (`sun_path` without its final zero; 104 on macOS, 108 on Linux). */
const maxPathBytes = process.platform === 'darwin' ? 103 : 107;

/** Throws `CONTROL_SOCKET_PATH` when the system could not bind this path (or the temporary one beside it). */
export function expectSocketPath(socketPath: string): void {
  const bytes = Buffer.byteLength(socketPath);
  if (bytes > maxPathBytes) throw new SocketPathError({ socketPath, bytes, limit: maxPathBytes });
}

/** True when somebody accepts connections there, and when that cannot be told: only a refusal proves a dead one. */
export function isListening(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code !== 'ECONNREFUSED' && code !== 'ENOENT'));
  });
}

/**
 * Gives a listening socket its public name, or returns false when a living daemon holds that name. The name of a dead one
 * is taken over: it is moved aside first and looked at there, so that of two newcomers neither removes the other's.
 */
export async function claimName(boundPath: string, socketPath: string): Promise<boolean> {
  for (;;) {
    if (await linkNew(boundPath, socketPath)) return true;
    const dead = await inodeOf(socketPath);
    if (dead === undefined) continue;
    if (await isListening(socketPath)) return false;
    const aside = `${boundPath}.old`;
    if (!(await moved(socketPath, aside))) continue;
    if ((await inodeOf(aside)) !== dead) await linkNew(aside, socketPath);
    await rm(aside, { force: true });
  }
}

/** False when there is something of that name already. */
async function linkNew(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function moved(from: string, to: string): Promise<boolean> {
  return rename(from, to).then(
    () => true,
    () => false, // its owner removed it just now
  );
}

async function inodeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ ino }) => ino,
    () => undefined, // its owner removed it just now
  );
}
