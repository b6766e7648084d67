import { constants } from 'node:fs';
import { copyFile, mkdir, stat } from 'node:fs/promises';
import { extname, join, parse } from 'node:path';
import { type Layout, sharedFolders } from '@mgpu/core';
import { ignoreGone } from '../cache/survey.ts';
import type { ModelsConfig } from '../config.ts';
import { EntryInvalidError } from '../errors.ts';

/** Copies a model as `<name>x.<ext>`, to try whether engines find what is new. A file of that name stays. Returns the copy. */
export async function makeTestCopy(
  { enabled, source, to }: ModelsConfig['testCopy'],
  layout: Layout,
): Promise<string | undefined> {
  if (!enabled) return undefined;
  const problem = (text: string) => new EntryInvalidError({ name: 'services.models.testCopy', problems: [text] });
  if (source === undefined) throw problem('it is enabled, and no source is named (TEST_MODEL_SOURCE)');
  if (!(await stat(source).catch(ignoreGone))?.isFile()) throw problem(`there is no file ${source}`);
  const folder = to ?? join(sharedFolders(layout).models, 'checkpoints');
  const copy = join(folder, `${parse(source).name}x${extname(source)}`);
  await mkdir(folder, { recursive: true });
  await copyFile(source, copy, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    },
  );
  return copy;
}
