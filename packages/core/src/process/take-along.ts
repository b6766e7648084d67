import { rmSync } from 'node:fs';
import { onExit } from 'signal-exit';
import { signalProcess } from './process-table.ts';
import { findTree, type TreeIdentity } from './process-tree.ts';

/** Looks at the process table; a tree that still grows after as many is left to the next sweep. */
const maxLooks = 50;

/**
 * Kills the tree and removes the folder when our own process ends, whatever the reason, short of SIGKILL. Returns how to
 * call that off.
 */
export function takeAlong(tree: () => TreeIdentity, folder: string | undefined): () => void {
  return onExit(() => {
    for (let looks = 0; looks < maxLooks; looks++) {
      const left = findTree(tree(), { leaderWasOurs: true });
      if (left.length === 0) break;
      for (const each of left) signalProcess(each, 'SIGKILL');
    }
    if (folder === undefined) return;
    try {
      rmSync(folder, { recursive: true, force: true });
    } catch {
      // a dying process may still write there; the system's own clean-up of its temporary folder gets the rest
    }
  });
}
