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
export function sourceArguments({ index, extraIndexes, wheels, offline }: PackageSources): string[] {
  const folders = wheels.flatMap((folder) => ['--find-links', folder]);
  if (offline) return ['--no-index', ...folders];
  return [
    ...(index === undefined ? [] : ['--index-url', index]),
    ...extraIndexes.flatMap((url) => ['--extra-index-url', url]),
    ...folders,
  ];
}
