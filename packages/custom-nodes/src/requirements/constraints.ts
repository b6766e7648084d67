import { type ParsedRequirements, parseRequirements } from './parse-requirements.ts';

/** What the engine was built with: no pack may change it. */
const protectedNames = new Set([
  'torch',
  'torchvision',
  'torchaudio',
  'torchsde',
  'triton',
  'xformers',
  'flash-attn',
  'sageattention',
]);

export const isProtected = (name: string): boolean => protectedNames.has(name) || name.startsWith('nvidia-');

/** Those of the installed packages that must stay as they are. */
const protectedOf = (installed: ReadonlyMap<string, string>) => [...installed].filter(([name]) => isProtected(name));

/** Those of them that did not stay so, as they were. */
export const protectedLost = (before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>) =>
  protectedOf(before).filter(([name, version]) => after.get(name) !== version);

/** What became of them: `torch 2.8.0 → 2.9.0`; empty when nothing did. */
export const protectedChanges = (before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] =>
  protectedLost(before, after).map(([name, version]) => `${name} ${version} → ${after.get(name) ?? 'removed'}`);

export interface Constraints {
  /** A constraints file. */
  readonly text: string;
  /** Packages it says something about. */
  readonly names: ReadonlySet<string>;
}

/**
 * What binds the packs: the protected packages exactly as installed, local tags included, numpy's major version, and the
 * lines of the engine's own requirement files. `pins` are further packages that must have these versions.
 */
export function constraintsOf(
  installed: ReadonlyMap<string, string>,
  engineFiles: readonly string[],
  pins: Readonly<Record<string, string>> = {},
): Constraints {
  const lines = new Map<string, string>();
  const say = (name: string, line: string) => lines.set(line, name);
  for (const [name, version] of protectedOf(installed)) say(name, `${name}==${version}`);
  const numpy = installed.get('numpy')?.split('.')[0];
  if (numpy !== undefined) say('numpy', `numpy==${numpy}.*`);
  for (const [name, version] of Object.entries(pins)) say(name, `${name}==${version}`);
  const engine: ParsedRequirements['requirements'] = engineFiles.flatMap(
    (text) => parseRequirements(text).requirements,
  );
  for (const { name, specifier, marker } of engine) {
    if (name === undefined || specifier === '') continue;
    if (isProtected(name) && installed.has(name)) continue; // said more exactly
    say(name, `${name}${specifier}${marker && ` ${marker}`}`);
  }
  const sorted = [...lines.keys()].sort();
  return { text: sorted.map((line) => `${line}\n`).join(''), names: new Set(lines.values()) };
}
