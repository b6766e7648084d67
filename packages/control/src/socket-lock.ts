import { link, readdir, rm, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { basename, dirname, join } from 'node:path';

/** A name beside the socket's own: nine characters longer. */
export const besideOf = (socketPath: string, suffix: string) => `${socketPath}.${suffix.slice(-8)}`;

/**
 * Gives a listening socket its public name, or returns false when a living daemon holds that name or is just taking it.
 * The name of a dead one is removed first.
 */
export async function claimName(boundPath: string, socketPath: string): Promise<boolean> {
  try {
    while (!(await linkNew(boundPath, socketPath))) {
      if (!(await removeDead(socketPath, boundPath, socketPath))) return false;
    }
    return true;
  } catch (error) {
    // Whoever got the name meanwhile has taken ours for that of a dead one.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/**
 * Removes the names beside the socket's own of those who died while they claimed it. Only for whoever holds the name: one
 * that does not listen yet loses no more than a claim it cannot win.
 */
export async function removeDeadBeside(socketPath: string): Promise<void> {
  const folder = dirname(socketPath);
  const beside = `${basename(socketPath)}.`;
  for (const name of await readdir(folder)) {
    if (!name.startsWith(beside) || name.length !== beside.length + 8) continue;
    const path = join(folder, name);
    if (!(await isListening(path))) await rm(path, { force: true });
  }
}

/** Removes the name of one's own socket; one that somebody else's has by now stays. */
export async function releaseName(socketPath: string, own: string | undefined): Promise<void> {
  if (own !== undefined && (await identityOf(socketPath)) === own) await rm(socketPath, { force: true });
}

/** Tells a socket from every other that ever had the same name; undefined when there is none. */
export async function identityOf(path: string): Promise<string | undefined> {
  return stat(path, { bigint: true }).then(
    ({ ino, mtimeNs }) => (ino + mtimeNs).toString(36),
    () => undefined, // its owner removed it just now
  );
}

/**
 * Removes `name` if its socket is dead; false when a living one has it or is removing it. A name cannot be removed on the
 * condition that it still means the same socket. So whoever wants to remove it first takes a turn: a name made from the
 * dead socket's identity, which only one can link. Nobody without the turn removes the dead one, and once that is gone
 * its identity never comes back: whoever gets the turn too late sees another one and leaves it. The turn leads to a
 * listening socket itself, so that of one who died in it is removed in the same way.
 */
async function removeDead(name: string, boundPath: string, socketPath: string): Promise<boolean> {
  const dead = await identityOf(name);
  if (dead === undefined) return true;
  if (await isListening(name)) return false;
  const turn = besideOf(socketPath, dead);
  if (!(await linkNew(boundPath, turn))) return removeDead(turn, boundPath, socketPath);
  try {
    if ((await identityOf(name)) === dead) await rm(name);
  } finally {
    await rm(turn, { force: true });
  }
  return true;
}

/** True when somebody accepts connections there, and when that cannot be told: only a refusal proves a dead one. */
function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code !== 'ECONNREFUSED' && code !== 'ENOENT'));
  });
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
