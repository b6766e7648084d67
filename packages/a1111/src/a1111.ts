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
import { A1111Service } from './a1111-service.ts';
import { a1111Schema } from './config.ts';
import { findEngine } from './engine.ts';
import { linkAliases, makeSharedFolders } from './folders.ts';
import { InstallationStore } from './setup/installation-store.ts';

/** Automatic1111 as a service of the machine: one instance per GPU, jobs of type `a1111`. */
export const a1111 = defineService({
  api: 1,
  kind: 'a1111',
  summary: 'Automatic1111 (or Forge), one instance per GPU',
  scope: 'gpu',
  schema: a1111Schema,
  env: {
    ENABLE_A1111: { key: 'enabled', summary: 'Whether Automatic1111 runs', parse: booleanFromText },
    ...enabledByConnectors('a1111'),
    A1111_BASE_PORT: { key: 'basePort', summary: 'Port on GPU 0', parse: numberFromText },
    WORKER_BASE_A1111_PORT: { key: 'basePort', summary: 'Port on GPU 0', parse: numberFromText },
    A1111_ARGS: { key: 'args', summary: 'Further arguments', parse: wordsFromText },
    A1111_REPO_URL: { key: 'setup.repository', summary: 'Where it is cloned from' },
    A1111_BRANCH: { key: 'setup.ref', summary: 'Branch or tag' },
    A1111_COMMIT_HASH: { key: 'setup.ref', summary: 'Commit; wins over A1111_BRANCH' },
    A1111_MODELS_REPO_URL: {
      key: 'setup.models.repository',
      summary: 'Repository of models, cloned to shared/sd_models when nothing is there',
    },
    COMFYUI_CHECKPOINTS_PATH: { key: 'checkpoints', summary: 'Folder with checkpoints that both engines use' },
  },
  phase: 'A1111',
  // An engine more: a machine without it still does the jobs of the others.
  critical: false,
  // A checkpoint takes minutes to load, and a large batch to make.
  supervision: { stableAfterMs: 300_000, stallAfterMs: 900_000 },
  connector: {
    types: ['a1111'],
    // The same file from src (tests) and from dist.
    module: new URL('../dist/connector.js', import.meta.url),
  },
  async install(context, config) {
    const { layout, env, log } = context;
    if (config.command === undefined && config.dir === undefined) {
      // Git, pip and what goes with them are no concern of a start that finds everything in place.
      const { install } = await import('./setup/install.ts');
      await install(context, config);
    } else {
      await makeSharedFolders(layout);
      await linkAliases(layout, config.aliases, log);
    }
    await findEngine(config, { layout, env });
  },
  create({ basePort, enabled: _enabled, gpus: _gpus, setup: _setup, aliases: _aliases, ...options }, context) {
    return new A1111Service({ ...options, port: basePort + (gpuIndex(context.gpu) ?? 0) }, context);
  },
  ports: ({ basePort }, gpus) => gpus.map((gpu) => ({ instance: instanceId('a1111', gpu), port: basePort + gpu })),
  async doctor(config, { layout, env }): Promise<readonly Finding[]> {
    const isInstalled = config.command === undefined && config.dir === undefined;
    const installation = isInstalled ? await new InstallationStore(layout).current() : undefined;
    if (isInstalled && !installation) {
      return [
        {
          level: 'warning',
          message: 'Automatic1111 is not installed yet: the next start of the machine does so, in minutes',
        },
      ];
    }
    try {
      const { file, args, dir } = await findEngine(config, { layout, env });
      const where = dir === undefined ? [file, ...args].join(' ') : `${dir}, run by ${file}`;
      const torch = installation?.packages.torch;
      const present = `Automatic1111 is ${where}${torch === undefined ? '' : `, torch ${torch}`}`;
      return [{ level: 'ok', message: present }, ...(await torchFindings(torch, env))];
    } catch (error) {
      return [findingOf(toMgpuError(error, 'a1111'), 'error')];
    }
  },
});
