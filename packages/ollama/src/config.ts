import { isAbsolute } from 'node:path';
import { gpuSelectionSchema } from '@mgpu/core';
import { z } from 'zod';
import { pinned } from './program/releases.ts';
import { settingsSchema } from './settings.ts';

const modelName = z
  .string()
  .regex(/^[A-Za-z0-9_][A-Za-z0-9_./:-]*$/, 'must be the name of a model such as llama3 or llama3.2:1b');
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits');

/** Configuration under `services.ollama.download`. */
const downloadSchema = z.strictObject({
  enabled: z.boolean().default(false).describe('Whether Ollama may be downloaded when there is none (some gigabytes)'),
  version: z
    .string()
    .regex(/^\d+\.\d+\.\d+[\w.-]*$/, 'must be a version such as 0.32.7')
    .default(pinned)
    .describe('Version of the release'),
  url: z
    .url({ protocol: /^https?$/ })
    .default('https://github.com/ollama/ollama/releases/download')
    .describe('Where releases lie, as <url>/v<version>/<archive>'),
  sha256: z
    .strictObject({ x64: sha256.optional(), arm64: sha256.optional() })
    .prefault({})
    .describe('SHA-256 of the archive by architecture, for a version whose checksums mgpu does not know'),
});
export type DownloadConfig = z.output<typeof downloadSchema>;

/** Configuration under `services.ollama`. */
export const ollamaSchema = z.strictObject({
  enabled: z.boolean().default(false).describe('Whether Ollama runs on this machine'),
  perGpu: z.boolean().default(false).describe('One server per GPU in place of one for all GPUs'),
  gpus: gpuSelectionSchema,
  cpu: z.boolean().default(false).describe('Run on the CPU though there are GPUs'),
  listen: z
    .strictObject({
      host: z
        .string()
        .regex(/^[A-Za-z0-9_.:-]+$/, 'must be an address or a host name')
        .default('127.0.0.1')
        .describe('Address it listens on. Ollama has no passwords: beyond the loopback interface everybody may use it'),
      port: z.number().int().min(1).max(65_472).default(11_434).describe('TCP port; with perGpu, GPU n has port + n'),
    })
    .prefault({}),
  program: z
    .string()
    .min(1)
    .optional()
    .describe('Path of ollama. Default: the one in PATH, else the one that mgpu downloaded'),
  command: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe('Program and first arguments started in place of `ollama`'),
  download: downloadSchema.prefault({}),
  models: z
    .array(modelName)
    .default([])
    .describe('Models that are pulled when they are missing, while it runs already, one after the other'),
  defaultModel: modelName.optional().describe('Model of jobs that name none; it is pulled like those of `models`'),
  modelsDir: z
    .string()
    .refine(isAbsolute, 'must be an absolute path (a list of models belongs into services.ollama.models)')
    .optional()
    .describe('Folder of the models. Default: <root>/shared/ollama'),
  prune: z
    .boolean()
    .default(false)
    .describe('Remove what belongs to no model at each start: half pulled models begin anew. Never with perGpu'),
  settings: settingsSchema.prefault({}).describe("Ollama's own settings"),
  startDeadlineMs: z
    .number()
    .int()
    .positive()
    .default(60_000)
    .describe('Milliseconds a start may take before it has failed; looking for GPUs takes up to 30 s'),
  graceMs: z
    .number()
    .int()
    .nonnegative()
    .default(15_000)
    .describe('Milliseconds between the request to stop (SIGTERM) and force'),
});

export type OllamaConfig = z.output<typeof ollamaSchema>;

/** What one server needs to know. */
export type InstanceConfig = Omit<OllamaConfig, 'enabled'>;

/** What `new OllamaService` takes: every key of the configuration, and where it runs. */
export interface OllamaOptions extends Partial<Omit<z.input<typeof ollamaSchema>, 'enabled' | 'perGpu'>> {
  /** Index of the one GPU it uses, looked up with nvidia-smi. Default: whatever the process sees. Ignored with a context. */
  readonly gpu?: number;
  /** Folder for models, logs and keys. Default: a temporary one, removed at the stop. Ignored with a context. */
  readonly root?: string;
}
