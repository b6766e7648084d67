// Installing ComfyUI and moving a machine from one version of it to another; apart from the rest, which every start loads.
export type {
  BuildProgress,
  BuildStep,
  GenerationParts,
  NodeChange,
} from './generations/build-generation.ts';
export { type Change, diffGenerations, type Generation, type GenerationDiff } from './generations/generation.ts';
export { GenerationStore } from './generations/generation-store.ts';
export type { Recipe } from './generations/recipe.ts';
export {
  type Fleet,
  type RollOutOptions,
  type RollOutProgress,
  type RunningEngine,
  rollBack,
  switchTo,
} from './generations/roll-out.ts';
export {
  changeNodes,
  type NodeChangeOptions,
  openParts,
  type SetupOptions,
  type SetupResult,
  setUp,
} from './generations/set-up.ts';
