// The service apart from the manager: light enough for every start of a machine.
export {
  type CustomNodesConfig,
  customNodesSchema,
  type PreinstalledNodesConfig,
  preinstalledNodesSchema,
} from './config.ts';
export { CustomNodesService, listPath } from './custom-nodes-service.ts';
export { type CustomNodesHost, customNodes } from './definition.ts';
export { preinstalledNodes } from './preinstalled/definition.ts';
export type { MovedNode } from './preinstalled/move-preinstalled.ts';
export { type PreinstalledNodesOptions, PreinstalledNodesService } from './preinstalled/preinstalled-service.ts';
export type { NodeSite, NodeTarget, SiteChange } from './site.ts';
