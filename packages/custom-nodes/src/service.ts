// The service apart from the manager: light enough for every start of a machine.
export { type CustomNodesConfig, customNodesSchema } from './config.ts';
export { CustomNodesService, listPath } from './custom-nodes-service.ts';
export { type CustomNodesHost, customNodes } from './definition.ts';
export type { NodeSite, NodeTarget, SiteChange } from './site.ts';
