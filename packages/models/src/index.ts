export type { EvictionGoal, EvictionPlan } from './cache/evict.ts';
export type { ModelInfo } from './cache/models.ts';
export type { FolderUsage, ModelsUsage } from './cache/usage.ts';
export type { VerifyResult } from './cache/verify.ts';
export {
  type LinkResult,
  makeLinks,
  readStaticModels,
  type StaticModels,
  staticModelsPath,
} from './links/static-models.ts';
export type { ModelEntry, ModelEntryInput } from './list/entry.ts';
export { entryOf, type ModelList, modelListJsonSchema, modelListPath, readModelList } from './list/read-list.ts';
export { modelPath, shortPath } from './place.ts';
export type { PullOptions } from './pull.ts';
export type { ModelProgress, ModelResult, PullReport, SyncReport } from './report.ts';
export * from './service.ts';
export { ModelStore, type ModelStoreOptions, type SyncOptions } from './store.ts';
