import { z } from 'zod';

/** What a generation is made from: two of the same recipe are the same for all purposes. */
export const recipeSchema = z.strictObject({
  repository: z.string(),
  /** As it was asked for: a branch, a tag or a commit. */
  ref: z.string(),
  commit: z.string(),
  /** Interpreter its environment was made with, as it was asked for. */
  python: z.string(),
  /** Requirements of the torch family. */
  torch: z.array(z.string()),
  /** Index it came from: a URL, or `packages` for that of all other packages. */
  torchIndex: z.string(),
  /** As it was asked for: `auto` looks at the driver. */
  torchIndexAsked: z.string(),
  extras: z.array(z.string()),
  /** Names the state of its custom nodes; undefined when nobody manages them. */
  nodes: z.string().optional(),
});

export type Recipe = z.output<typeof recipeSchema>;

/** All but the custom nodes. */
export const isSameEngine = ({ nodes: _, ...a }: Recipe, { nodes: __, ...b }: Recipe): boolean => isSameRecipe(a, b);

export const isSameRecipe = (a: Recipe, b: Recipe): boolean => canonical(a) === canonical(b);

const canonical = (recipe: Recipe) => JSON.stringify(Object.entries(recipe).toSorted());
