export type { LeftFile, SyncReport } from './report.ts';
export * from './service.ts';
export { WorkflowSync, type WorkflowSyncOptions } from './workflow-sync.ts';
