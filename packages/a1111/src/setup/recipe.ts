import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import type { A1111Setup } from '../config.ts';

const source = z.strictObject({ repository: z.string(), ref: z.string() });

/** What an installation is made from, as it was asked for: two of the same recipe need not be told apart. */
export const recipeSchema = z.strictObject({
  repository: z.string(),
  ref: z.string(),
  /** Null: those that the checkout wants. */
  helpers: z.record(z.string(), source).nullable(),
  python: z.string(),
  torch: z.array(z.string()),
  /** A URL, `packages`, or `auto`, which looks at the driver. */
  torchIndex: z.string(),
  cudaVersions: z.array(z.number()),
  launcherPackages: z.array(z.string()),
  /** Null: not installed. */
  xformers: z.string().nullable(),
});

export type Recipe = z.output<typeof recipeSchema>;

export const isSameRecipe = (a: Recipe, b: Recipe): boolean => isDeepStrictEqual(a, b);

export const recipeOf = (setup: A1111Setup, { xformers }: { readonly xformers: boolean }): Recipe => ({
  repository: setup.repository,
  ref: setup.ref,
  helpers: setup.helpers ?? null,
  python: setup.python,
  torch: [...setup.torch.requirements],
  torchIndex: setup.torch.index,
  cudaVersions: [...setup.torch.cudaVersions],
  launcherPackages: [...setup.launcherPackages],
  xformers: xformers ? setup.xformersPackage : null,
});
