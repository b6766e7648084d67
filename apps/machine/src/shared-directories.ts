import { constants } from 'node:fs';
import { access, mkdir } from 'node:fs/promises';
import { type Layout, makeModelFolders, readModelFolders, reportError, sharedFolders } from '@mgpu/core';
import { SharedDirectoriesError } from './errors.ts';

/**
 * Makes what all engines share below `<root>/shared`: models, custom nodes, workflows, input, and whatever the file of model
 * folders names; what is there stays as it is. Throws `MACHINE_SHARED_DIRECTORIES` where it cannot be written to.
 */
export async function makeSharedDirectories(layout: Layout): Promise<void> {
  try {
    await makeModelFolders(await readModelFolders(layout));
    const { customNodes, workflows, input, sdModels } = sharedFolders(layout);
    await mkdir(sdModels, { recursive: true });
    // Models may be shared by several machines that must not change them.
    for (const folder of [customNodes, workflows, input]) await access(folder, constants.W_OK);
  } catch (cause) {
    throw new SharedDirectoriesError({ shared: layout.shared, problem: reportError(cause).message }, { cause });
  }
}
