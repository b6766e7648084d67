import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { ComfyUIConfig } from '@mgpu/comfyui';
import { type AnyServiceDefinition, gitEnvironment, type MachineConfig, type ServiceContext } from '@mgpu/core';
import { type CustomNodesConfig, customNodes, listPath, type NodeSite } from '@mgpu/custom-nodes/service';
import { noFleet, torchMode } from './installation.ts';
import { ollamaVariables } from './ollama-variables.ts';

/**
 * The definitions with what the configuration of one tells another: custom nodes come to the ComfyUI described there, and
 * what their list asks for by name they get, also what has become configuration and no other process sees.
 */
export const withNodeSite = (
  definitions: readonly AnyServiceDefinition[],
  config: MachineConfig,
  env: ServiceContext['env'],
): readonly AnyServiceDefinition[] => {
  const variables = { ...env, ...ollamaVariables(config, env) };
  return definitions.map((each) =>
    each.kind === 'custom-nodes' ? customNodes({ site: (context) => nodeSiteOf(config, context), variables }) : each,
  );
};

/**
 * Where the custom nodes of a boot come to: the generation in force, before any engine starts with it. Undefined where mgpu
 * installs no ComfyUI: it is stood in for, or a checkout of the user's own, whose nodes are the user's as well.
 */
function nodeSiteOf(config: MachineConfig, context: ServiceContext): NodeSite | undefined {
  const comfyui = config.services.comfyui as unknown as ComfyUIConfig | undefined;
  if (!comfyui?.enabled || comfyui.command !== undefined || comfyui.dir !== undefined) return undefined;
  const { layout, env, log } = context;
  const path = listPath(config.services['custom-nodes'] as unknown as CustomNodesConfig, { layout });
  // What builds is loaded by those boots alone that have something to build.
  const site = async () => {
    const { GenerationSite } = await import('./generation-site.ts');
    return new GenerationSite({
      layout,
      env: gitEnvironment(layout, env),
      log,
      setup: comfyui.setup,
      startDeadlineMs: comfyui.startDeadlineMs,
      request: createHash('sha256')
        .update(await readFile(path))
        .digest('hex'),
      mode: () => torchMode(config.machine.gpu, { log }),
      fleet: noFleet,
    });
  };
  return {
    current: async () => (await site()).current(),
    change: async (work, options) => (await site()).change(work, options),
  };
}
