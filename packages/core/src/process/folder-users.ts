import { readdir, readlink, realpath } from 'node:fs/promises';

/** Pids of processes that work in a folder or below it, as an engine does in its checkout. Those of other users are not seen. */
export async function folderUsers(dir: string): Promise<readonly number[]> {
  const names = await readdir('/proc').catch(() => []);
  const pids = names.filter((name) => /^\d+$/.test(name)).map(Number);
  const places = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => '')));
  // The kernel knows no links on the way there.
  const real = await realpath(dir).catch(() => dir);
  return pids.filter((_, index) => `${places[index]}/`.startsWith(`${real}/`));
}
