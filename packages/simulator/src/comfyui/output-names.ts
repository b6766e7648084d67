import { mkdir, readdir } from 'node:fs/promises';
import { basename, dirname, join, normalize, resolve } from 'node:path';
import { PythonError } from '../python/values.ts';
import { isInside } from './folders.ts';

export interface OutputName {
  readonly subfolder: string;
  readonly name: string;
  readonly counter: number;
}

/**
 * Next free counter for a file prefix: highest existing plus one. A prefix with `/` names a subfolder, which is made.
 * Between the listing and the writing nothing else of this process runs, since there is one worker.
 */
export async function nextOutputFile(root: string, prefix: string, width: number, height: number): Promise<OutputName> {
  const path = normalize(withVariables(prefix, width, height));
  const [subfolder, name] = [dirname(path) === '.' ? '' : dirname(path), basename(path)];
  const folder = join(root, subfolder);
  if (!isInside(root, resolve(root, subfolder))) {
    const text = `**** ERROR: Saving image outside the output folder is not allowed.\n full_output_folder: ${folder}\n         output_dir: ${root}`;
    throw new PythonError('Exception', text);
  }
  return { subfolder, name, counter: (await highestNumber(folder, name)) + 1 };
}

async function highestNumber(folder: string, name: string): Promise<number> {
  let files: string[];
  try {
    files = await readdir(folder);
  } catch {
    await mkdir(folder, { recursive: true });
    return 0;
  }
  const start = `${name}_`;
  let highest = 0;
  for (const file of files) {
    if (!file.startsWith(start)) continue;
    const digits = Number.parseInt(file.slice(start.length), 10);
    if (digits > highest) highest = digits;
  }
  return highest;
}

function withVariables(prefix: string, width: number, height: number): string {
  if (!prefix.includes('%')) return prefix;
  const now = new Date();
  const two = (value: number) => String(value).padStart(2, '0');
  const values: Record<string, string> = {
    width: String(width),
    height: String(height),
    year: String(now.getFullYear()),
    month: two(now.getMonth() + 1),
    day: two(now.getDate()),
    hour: two(now.getHours()),
    minute: two(now.getMinutes()),
    second: two(now.getSeconds()),
  };
  return prefix.replaceAll(
    /%(width|height|year|month|day|hour|minute|second)%/g,
    (_, key: string) => values[key] as string,
  );
}
