import { dirname, isAbsolute, join, normalize } from 'node:path';
import { sha256 } from '../canonical.ts';
import { RequirementsInvalidError } from '../errors.ts';
import { readInside } from '../packs/read-inside.ts';
import { parseRequirements, type Requirement } from './parse-requirements.ts';

/** What a pack needs, as it is given to the installer. */
export interface PackRequirements {
  readonly pack: string;
  readonly requirements: readonly Requirement[];
  /** A requirements file of what was taken. */
  readonly text: string;
  /** SHA-256 of `text`. */
  readonly hash: string;
  readonly warnings: readonly string[];
}

const deepest = 8;

/**
 * Reads `requirements.txt` in `dir` and what it includes; undefined when there is none, or nothing in it. Throws
 * `NODES_REQUIREMENTS_INVALID`.
 */
export async function readPackRequirements(pack: string, dir: string): Promise<PackRequirements | undefined> {
  const requirements: Requirement[] = [];
  const warnings: string[] = [];
  const seen = new Set<string>();
  const refuse = (file: string, problem: string) => new RequirementsInvalidError({ name: pack, file, problem });

  async function read(file: string, depth: number): Promise<void> {
    if (seen.has(file)) return;
    seen.add(file);
    if (depth > deepest) throw refuse(file, `it is included through ${depth} others`);
    const text = await readInside(dir, file, (problem) => refuse(file, problem));
    if (text === undefined) {
      if (depth > 0) throw refuse(file, 'it is included and not there');
      return;
    }
    const parsed = parseRequirements(text);
    if (parsed.problems.length > 0) throw refuse(file, parsed.problems.join('; '));
    warnings.push(...parsed.warnings.map((warning) => `${file}, ${warning}`));
    requirements.push(...parsed.requirements);
    for (const include of parsed.includes) {
      const path = normalize(join(dirname(file), include));
      if (isAbsolute(include) || path.startsWith('..')) {
        warnings.push(`${file}: -r ${include} leads out of the pack and is left out`);
      } else await read(path, depth + 1);
    }
  }

  await read('requirements.txt', 0);
  if (requirements.length === 0 && warnings.length === 0) return undefined;
  const text = requirements.map((each) => `${each.text}\n`).join('');
  return { pack, requirements, text, hash: sha256(text), warnings };
}
