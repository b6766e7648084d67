import { z } from 'zod';

/** Where packages come from. Empty: as pip and uv are configured on this machine, by default PyPI. */
export const packageSourcesSchema = z.strictObject({
  index: z
    .url({ protocol: /^(https?|file)$/ })
    .optional()
    .describe('URL of the package index in place of PyPI'),
  extraIndexes: z
    .array(z.url({ protocol: /^(https?|file)$/ }))
    .default([])
    .describe('Further package indexes'),
  wheels: z.array(z.string().min(1)).default([]).describe('Folders with wheels that are looked into as well'),
  offline: z.boolean().default(false).describe('Take packages from `wheels` alone and never ask an index'),
});

export type PackageSources = z.output<typeof packageSourcesSchema>;

export const anySource: PackageSources = { extraIndexes: [], wheels: [], offline: false };

/** The same words for pip and for uv. */
export function sourceArguments({ wheels, offline }: PackageSources): string[] {
  const folders = wheels.flatMap((folder) => ['--find-links', folder]);
  return [...(offline ? ['--no-index'] : []), ...folders];
}

/**
 * URLs may have passwords, and everybody on the host sees command lines. (pip itself puts them on those of what it builds from
 * source; a netrc file or a keyring keeps them away from there, too.) Former and present names of uv's.
 */
export function sourceVariables({ index, extraIndexes, offline }: PackageSources): Record<string, string> {
  if (offline) return {};
  const all = (value: string, ...names: string[]) => Object.fromEntries(names.map((name) => [name, value]));
  return {
    ...(index === undefined ? {} : all(index, 'PIP_INDEX_URL', 'UV_INDEX_URL', 'UV_DEFAULT_INDEX')),
    ...(extraIndexes.length === 0 ? {} : all(extraIndexes.join(' '), 'PIP_EXTRA_INDEX_URL', 'UV_EXTRA_INDEX_URL')),
  };
}
