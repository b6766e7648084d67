// The service apart from the sync: light enough for every start of a machine.
export { type WorkflowsConfig, workflowsSchema } from './config.ts';
export { workflows } from './definition.ts';
export { type WorkflowsEvents, type WorkflowsOptions, WorkflowsService } from './workflows-service.ts';
