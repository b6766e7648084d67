import { existsSync, readdirSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import type { Folders } from './folders.ts';
import type { Options } from './options.ts';
import { unreadable } from './uncaught.ts';

/** What the custom nodes folder of every install holds here, whether it is there or not. */
const BUNDLED = ['slow_node.py', 'websocket_image_save.py'];

/** Paths of the custom node modules that a start loads. Throws StartError when one of their folders is missing. */
export function findCustomNodes({ baseDirectory, customBase, customNodes }: Options, folders: Folders): string[] {
  const installed = customBase ? undefined : join(baseDirectory, 'custom_nodes');
  return (folders.modelPaths('custom_nodes') ?? []).flatMap((folder) => {
    const bundled = folder === installed ? BUNDLED : [];
    const found = folder === installed && !existsSync(folder) ? [] : listModules(folder);
    return [...new Set([...bundled, ...found])]
      .filter((name) => customNodes === 'all' || customNodes.includes(name))
      .map((name) => join(folder, name));
  });
}

function listModules(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => {
      if (name === '__pycache__' || name.endsWith('.disabled')) return false;
      return extname(name) === '.py' || statSync(join(folder, name), { throwIfNoEntry: false })?.isDirectory();
    });
  } catch (error) {
    throw unreadable(264, folder, error);
  }
}
