import { readFile } from 'node:fs/promises';
import { type NodeList, readNodeList } from './read-list.ts';

/** Throws `NODES_LIST_INVALID`, and the system's error for a file that cannot be read. */
export async function readListFile(path: string): Promise<NodeList> {
  return readNodeList(await readFile(path, 'utf8'), path);
}
