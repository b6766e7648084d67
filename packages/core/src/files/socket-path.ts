import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { SocketPathError } from '../errors/core-errors.ts';
import type { Layout } from './layout.ts';
import { makePrivateFolder, privateFolderOf } from './private-folder.ts';

/** Bytes of `sun_path` without its final zero, see unix(7); the BSDs and macOS have 104 instead of 108. */
const longestBytes = process.platform === 'linux' ? 107 : 103;

/** Throws `CORE_SOCKET_PATH` for a path longer than the system allows for a Unix socket. */
export function expectSocketPath(instance: string, path: string): void {
  const bytes = Buffer.byteLength(path);
  if (bytes > longestBytes) throw new SocketPathError({ instance, path, bytes, limit: longestBytes });
}

/** Where the socket of an instance lies: `run/<id>.sock`, or in a private folder below a root too deep for that. */
export function instanceSocketPath(layout: Layout, id: string): string {
  const own = join(layout.run, `${id}.sock`);
  return Buffer.byteLength(own) <= longestBytes ? own : join(privateFolderOf(layout, id), `${id}.sock`);
}

/**
 * Makes room for the socket of a run: its folder is there and ours, what a dead run left is gone, and nothing of it stays
 * when the run ends; that of an adopted process is left to it. Returns its path. Throws `CORE_SOCKET_PATH` or `CORE_FOLDER_NOT_PRIVATE`.
 */
export async function prepareSocket(
  run: { readonly isAdopted?: boolean; defer(cleanup: () => unknown): void },
  layout: Layout,
  id: string,
): Promise<string> {
  const path = instanceSocketPath(layout, id);
  expectSocketPath(id, path);
  const folder = dirname(path);
  await makePrivateFolder(id, folder);
  if (folder !== layout.run) run.defer(() => rm(folder, { recursive: true, force: true }));
  run.defer(() => rm(path, { force: true }));
  if (!run.isAdopted) await rm(path, { force: true });
  return path;
}

/** `unix:///path/to.sock`, with the path's special characters escaped as in a file URL. */
export const socketUrl = (path: string): URL => new URL(`unix://${pathToFileURL(path).pathname}`);
