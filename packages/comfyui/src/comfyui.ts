import {
  booleanFromText,
  defineService,
  enabledByConnectors,
  type Finding,
  findingOf,
  gpuIndex,
  instanceId,
  numberFromText,
  toMgpuError,
  wordsFromText,
} from '@mgpu/core';
import { torchFindings } from '@mgpu/core/python';
import { findEngine } from './checkout.ts';
import { ComfyUIService } from './comfyui-service.ts';
import { comfyuiSchema } from './config.ts';
import { GenerationStore } from './generations/generation-store.ts';

/** The predecessors' own fork, whose branch of that name they ran; of every other repository a pinned commit. */
const isFork = (url: string) => /[/:]stakeordie\/ComfyUI(\.git)?\/?$/i.test(url);

/** A repository, and of the fork the branch unless the file names one. */
function setupFromText(text: string, soFar?: unknown): unknown {
  const { services } = soFar as { services?: { comfyui?: { setup?: { ref?: unknown } } } };
  const repository = text.trim();
  const isSaid = services?.comfyui?.setup?.ref !== undefined;
  return { repository, ...(isFork(repository) && !isSaid ? { ref: 'forward' } : {}) };
}

/** ComfyUI as a service of the machine: one instance per GPU, jobs of type `comfyui`. */
export const comfyui = defineService({
  api: 1,
  kind: 'comfyui',
  summary: 'ComfyUI, one instance per GPU',
  scope: 'gpu',
  schema: comfyuiSchema,
  env: {
    ENABLE_COMFYUI: { key: 'enabled', summary: 'Whether ComfyUI runs', parse: booleanFromText },
    ...enabledByConnectors('comfyui'),
    COMFYUI_PORT_START: { key: 'basePort', summary: 'Port on GPU 0 (former name)', parse: numberFromText },
    COMFYUI_BASE_PORT: { key: 'basePort', summary: 'Port on GPU 0', parse: numberFromText },
    WORKER_BASE_COMFYUI_PORT: { key: 'basePort', summary: 'Port on GPU 0', parse: numberFromText },
    COMFY_ARGS: { key: 'args', summary: 'Further arguments', parse: wordsFromText },
    TEST_MODE: { key: 'cpu', summary: 'Run on the CPU (former name)', parse: booleanFromText },
    COMFYUI_CPU_ONLY: { key: 'cpu', summary: 'Run on the CPU (former name)', parse: booleanFromText },
    COMFYUI_CPU_MODE: { key: 'cpu', summary: 'Run on the CPU', parse: booleanFromText },
    COMFY_REPO_URL: {
      key: 'setup',
      summary: 'Where it is cloned from; a fork at its branch forward',
      parse: setupFromText,
    },
    COMFYUI_REPO_URL: {
      key: 'setup',
      summary: 'Where it is cloned from; wins over COMFY_REPO_URL',
      parse: setupFromText,
    },
    COMFYUI_BRANCH: { key: 'setup.ref', summary: 'Branch or tag' },
    COMFYUI_COMMIT: { key: 'setup.ref', summary: 'Commit; wins over COMFYUI_BRANCH' },
    COMFY_DIR: { key: 'dir', summary: 'The checkout' },
    COMFYUI_DIR: { key: 'dir', summary: 'The checkout' },
  },
  phase: 'ComfyUI',
  // A machine without its engine takes no jobs: better a boot that fails clearly than one that looks well.
  critical: true,
  // A model takes minutes to load, and a video to make.
  supervision: { stableAfterMs: 300_000, stallAfterMs: 900_000 },
  connector: {
    types: ['comfyui'],
    // The same file from src (tests) and from dist.
    module: new URL('../dist/connector.js', import.meta.url),
  },
  async install({ layout, env }, config) {
    await findEngine(config, { layout, env });
  },
  create({ basePort, enabled: _enabled, gpus: _gpus, setup: _setup, ...options }, context) {
    return new ComfyUIService({ ...options, port: basePort + (gpuIndex(context.gpu) ?? 0) }, context);
  },
  ports: ({ basePort }, gpus) => gpus.map((gpu) => ({ instance: instanceId('comfyui', gpu), port: basePort + gpu })),
  async doctor(config, { layout, env }): Promise<readonly Finding[]> {
    try {
      const { file, args, dir } = await findEngine(config, { layout, env });
      const generation = (config.dir ?? config.command) ? undefined : await new GenerationStore(layout).current();
      if (generation) {
        const { version, id, packages } = generation;
        const present = `ComfyUI ${version}, generation ${id}, torch ${packages.torch}`;
        return [{ level: 'ok', message: present }, ...(await torchFindings(packages.torch, env))];
      }
      const message =
        dir === undefined
          ? `ComfyUI is stood in for by ${[file, ...args].join(' ')}`
          : `ComfyUI in ${dir}, run by ${file}`;
      return [{ level: 'ok', message }];
    } catch (error) {
      return [findingOf(toMgpuError(error, 'comfyui'), 'error')];
    }
  },
});
