import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse, YAMLParseError } from 'yaml';
import { uncaught, unreadable } from './uncaught.ts';

export interface ExtraModelPath {
  readonly type: string;
  readonly path: string;
  readonly isDefault: boolean;
}

const LINE = 258;

/**
 * Reads the file of `--extra-model-paths-config`: sections with `base_path`, `is_default` and types, each with one path
 * or several on lines of their own. Throws StartError when the file cannot be read or is no YAML.
 */
export function readExtraModelPaths(file: string): ExtraModelPath[] {
  const document = (readYaml(file) ?? {}) as Record<string, Record<string, unknown> | null>;
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

function readYaml(file: string): unknown {
  try {
    return parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if (!(error instanceof YAMLParseError)) throw unreadable(LINE, file, error);
    const { line, col } = error.linePos?.[0] ?? { line: 1, col: 1 };
    throw uncaught(
      LINE,
      `yaml.scanner.ScannerError: ${error.message}\n  in ${JSON.stringify(file)}, line ${line}, column ${col}`,
    );
  }
}
