import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ignoreMissing } from '@mgpu/core';
import { InstallationBrokenError } from '../errors.ts';

/** The file with exact versions, else the one without. */
export async function requirementsFile(checkout: string): Promise<string> {
  for (const name of ['requirements_versions.txt', 'requirements.txt']) {
    const path = join(checkout, name);
    if (await stat(path).catch(ignoreMissing)) return path;
  }
  const problem = 'the checkout has neither requirements_versions.txt nor requirements.txt';
  throw new InstallationBrokenError({ dir: checkout, problem, lastLines: [] });
}
