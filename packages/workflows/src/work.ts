// What the service loads when there is something to keep in step.
export { watchFolder } from './watch-folder.ts';
export { WorkflowSync } from './workflow-sync.ts';
