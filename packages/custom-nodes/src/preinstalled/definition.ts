import { defineService } from '@mgpu/core';
import { preinstalledNodesSchema } from '../config.ts';
import { PreinstalledNodesService } from './preinstalled-service.ts';

/** Moves what an image brought along before anything else is done to custom nodes. */
export const preinstalledNodes = defineService({
  api: 1,
  kind: 'preinstalled-nodes',
  summary: 'Moves custom nodes that an image brought along into the shared folder',
  scope: 'machine',
  schema: preinstalledNodesSchema,
  phase: 'pre-installed nodes',
  critical: false,
  create: ({ enabled: _, ...config }, context) => new PreinstalledNodesService(config, context),
});
