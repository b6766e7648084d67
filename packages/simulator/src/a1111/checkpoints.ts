import { readdirSync } from 'node:fs';
import { basename, extname, join } from 'node:path';
import { hashText, seededHex } from '../random.ts';

export interface Checkpoint {
  readonly title: string;
  readonly model_name: string;
  readonly hash: string;
  readonly sha256: string;
  readonly filename: string;
  readonly config: null;
}

const extensions = new Set(['.safetensors', '.ckpt']);

/** Checkpoints in the folders, one a name, and those that are only simulated. */
export function findCheckpoints(folders: readonly string[], simulated: readonly string[]): Checkpoint[] {
  const inFolders = folders.flatMap((folder) => filesIn(folder).map((name) => join(folder, name)));
  const made = simulated.map((name) => join(folders[0] as string, name));
  const byName = new Map([...inFolders, ...made].map((path) => [basename(path), path]));
  return [...byName.values()].toSorted().map(describe);
}

/** By whatever the program takes for its name; undefined when there is no such checkpoint. */
export function findByAlias(all: readonly Checkpoint[], alias: unknown): Checkpoint | undefined {
  return all.find((each) =>
    [each.title, each.model_name, each.hash, each.sha256, basename(each.filename)].some((name) => name === alias),
  );
}

function describe(filename: string): Checkpoint {
  const name = basename(filename);
  const sha256 = seededHex(hashText(name), 64);
  const hash = sha256.slice(0, 10);
  return {
    title: `${name} [${hash}]`,
    model_name: basename(name, extname(name)),
    hash,
    sha256,
    filename,
    config: null,
  };
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => extensions.has(extname(name)));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
