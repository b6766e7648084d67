import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';

export interface ExtraModelPath {
  readonly type: string;
  readonly path: string;
  readonly isDefault: boolean;
}

/**
 * Reads the file of `--extra-model-paths-config`: sections with `base_path`, `is_default` and types, each with one path
 * or several on lines of their own. Throws ENOENT when the file is missing, as the real one does.
 */
export function readExtraModelPaths(file: string): ExtraModelPath[] {
  const document = (parse(readFileSync(file, 'utf8')) ?? {}) as Record<string, Record<string, unknown> | null>;
  return Object.values(document).flatMap((section) => {
    const { base_path: basePath = '.', is_default: isDefault = false, ...types } = section ?? {};
    const base = resolve(dirname(file), String(basePath));
    return Object.entries(types).flatMap(([type, paths]) =>
      String(paths)
        .split('\n')
        .filter((path) => path.trim() !== '')
        .map((path) => ({ type, path: resolve(base, path.trim()), isDefault: isDefault === true })),
    );
  });
}
