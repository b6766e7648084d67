/** Accelerators of attention that a generation may have, by the name they have in the configuration. */
export const extras = {
  xformers: { packages: ['xformers'], needsTorchToBuild: false },
  'flash-attention': { packages: ['flash-attn'], needsTorchToBuild: true },
  'sage-attention': { packages: ['sageattention'], needsTorchToBuild: true },
} as const satisfies Record<string, { packages: readonly string[]; needsTorchToBuild: boolean }>;

export const extraNames = Object.keys(extras) as (keyof typeof extras)[];
