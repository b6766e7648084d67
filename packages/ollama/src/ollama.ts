import { booleanFromText, defineService, enabledByConnectors, gpuIndex, instanceId, numberFromText } from '@mgpu/core';
import { addressFromText } from './address.ts';
import { ollamaSchema } from './config.ts';
import { diagnose } from './diagnose.ts';
import { OllamaMissingError } from './errors.ts';
import { OllamaService } from './ollama-service.ts';
import { locateProgram } from './program/locate-program.ts';
import { settingsVariables } from './settings.ts';

const listFromText = (text: string) => text.split(/[\s,]+/).filter((word) => word !== '');

/** Ollama as a service of the machine: one for all GPUs or one per GPU, jobs of type `ollama`. */
export const ollama = defineService({
  api: 1,
  kind: 'ollama',
  summary: 'Ollama, one for the machine or one per GPU',
  scope: ({ perGpu }) => (perGpu ? 'gpu' : 'machine'),
  schema: ollamaSchema,
  env: {
    ENABLE_OLLAMA: { key: 'enabled', summary: 'Whether Ollama runs', parse: booleanFromText },
    ...enabledByConnectors('ollama'),
    OLLAMA_HOST: { key: 'listen', summary: 'Address it listens on, with the port or without', parse: addressFromText },
    OLLAMA_BASE_PORT: { key: 'listen.port', summary: 'TCP port', parse: numberFromText },
    OLLAMA_PORT: { key: 'listen.port', summary: 'TCP port', parse: numberFromText },
    WORKER_BASE_OLLAMA_PORT: { key: 'listen.port', summary: 'TCP port', parse: numberFromText },
    OLLAMA_MODEL_STORAGE_PATH: { key: 'modelsDir', summary: 'Folder of the models' },
    OLLAMA_MODELS: { key: 'modelsDir', summary: 'Folder of the models' },
    OLLAMA_DEFAULT_MODELS: {
      key: 'models',
      summary: 'Models to pull, separated by commas',
      parse: listFromText,
    },
    OLLAMA_DEFAULT_MODEL: { key: 'defaultModel', summary: 'Model to pull, and of jobs that name none' },
    OLLAMA_CONCURRENCY: {
      key: 'settings.numParallel',
      summary: 'Requests that a loaded model does at once',
      parse: numberFromText,
    },
    ...settingsVariables,
  },
  phase: 'Ollama',
  critical: false,
  // A large model takes minutes to load.
  supervision: { stableAfterMs: 300_000, stallAfterMs: 900_000 },
  connector: {
    types: ['ollama'],
    // The same file from src (tests) and from dist.
    module: new URL('../dist/connector.js', import.meta.url),
  },
  async install(context, config) {
    try {
      await locateProgram(config, context);
    } catch (error) {
      if (!(error instanceof OllamaMissingError) || !config.download.enabled) throw error;
      const { installRelease } = await import('./program/install-release.ts');
      await installRelease(config.download, context);
    }
  },
  create({ enabled: _enabled, listen, ...config }, context) {
    const port = listen.port + (config.perGpu ? (gpuIndex(context.gpu) ?? 0) : 0);
    return new OllamaService({ ...config, listen: { ...listen, port } }, context);
  },
  ports: ({ perGpu, listen: { port } }, gpus) =>
    perGpu
      ? gpus.map((gpu) => ({ instance: instanceId('ollama', gpu), port: port + gpu }))
      : [{ instance: 'ollama', port }],
  doctor: diagnose,
});
