import type { Gpu } from '@mgpu/core';
import { z } from 'zod';

/** A download at the start that nobody has said anything about. */
const unlessSimulated = () =>
  z.union([z.boolean(), z.literal('auto')], { error: 'must be true, false or "auto"' }).default('auto');

const secret = () => z.string().min(1).optional();
const endpoint = () => z.url({ protocol: /^https?$/ });

/** Whom the hosts of models know us as. Each secret is sent to its own host alone. */
export const accountsSchema = z.strictObject({
  huggingFace: z
    .strictObject({
      token: secret().describe('Access token, for gated and private repositories'),
      endpoint: endpoint().default('https://huggingface.co').describe('Where Hugging Face, or a mirror of it, is'),
    })
    .prefault({}),
  civitai: z
    .strictObject({
      token: secret().describe('API key'),
      endpoint: endpoint().default('https://civitai.com').describe('Where Civitai is'),
    })
    .prefault({}),
  s3: z
    .strictObject({
      accessKeyId: secret().describe('Without it buckets are read anonymously'),
      secretAccessKey: secret().describe('Secret that belongs to it'),
      sessionToken: secret().describe('For temporary credentials'),
      region: z.string().min(1).default('us-east-1').describe('Region of the buckets'),
      endpoint: endpoint().optional().describe('Of a server compatible with S3. Default: AWS in that region'),
    })
    .prefault({}),
  azure: z
    .strictObject({
      account: z.string().min(1).optional().describe('Name of the storage account'),
      accountKey: secret().describe('Its key, in base64; without key and SAS token blobs are read anonymously'),
      sasToken: secret().describe('A shared access signature instead of the key'),
      endpoint: endpoint().optional().describe('Default: https://<account>.blob.core.windows.net'),
    })
    .prefault({}),
  google: z
    .strictObject({
      keyFile: z.string().min(1).optional().describe('Credentials file; without it buckets are read anonymously'),
      endpoint: endpoint().default('https://storage.googleapis.com').describe('Where Google Cloud Storage is'),
    })
    .prefault({}),
});

export type Accounts = z.output<typeof accountsSchema>;

export const syncSchema = z.strictObject({
  enabled: unlessSimulated().describe(
    'Whether the bucket is looked at, where one is named; "auto": not on simulated GPUs, except in test mode',
  ),
  provider: z.enum(['aws', 'google', 'azure']).optional().describe('Whose bucket it is; `aws`: any that speaks S3'),
  container: z.string().min(1).optional().describe('Bucket or container that models are brought from'),
  testContainer: z.string().min(1).optional().describe('The one that takes its place in test mode'),
  prefix: z.string().default('').describe('Beginning of the keys that are meant; left out of the paths'),
  dirs: z
    .array(z.string().min(1))
    .default([])
    .describe('Folders of models that are brought, such as loras. Default: all'),
  exclude: z.array(z.string().min(1)).default([]).describe('Patterns of paths that are not brought, such as *.ckpt'),
  maxAgeDays: z.number().nonnegative().default(7).describe('Days after a complete sync in which none is needed'),
  force: z.boolean().default(false).describe('Look at the bucket however young the last sync is'),
});

/** Configuration of `services.models`. */
export const modelsSchema = z.strictObject({
  enabled: z.boolean().default(true).describe('Whether models are brought and their folders made at the start'),
  list: z
    .string()
    .min(1)
    .optional()
    .describe('Path of the list of models; default `shared/models.yaml`, else `shared/models.json`'),
  download: unlessSimulated().describe(
    'Whether what the list names is downloaded at the start; "auto": not on simulated GPUs, except in test mode',
  ),
  testMode: z.boolean().default(false).describe('The test container, and of the list only what is marked `test`'),
  background: z.boolean().default(false).describe('Let the boot go on while models are brought'),
  sync: syncSchema.prefault({}),
  accounts: accountsSchema.prefault({}),
  concurrency: z.number().int().min(1).max(32).default(4).describe('Downloads at the same time'),
  attempts: z
    .number()
    .int()
    .min(1)
    .max(100)
    .default(5)
    .describe('Connections in a row that may bring nothing before a download fails'),
  stall: z
    .strictObject({
      seconds: z.number().positive().default(60).describe('Length of the time in which enough has to come'),
      bytesPerSecond: z.number().nonnegative().default(1_024).describe('How fast it has to come on average'),
    })
    .prefault({}),
  reserveGiB: z.number().nonnegative().default(2).describe('Space on the disk that downloads leave free'),
  protect: z.array(z.string().min(1)).default([]).describe('Patterns of models that are never evicted'),
  cacheGiB: z
    .number()
    .positive()
    .optional()
    .describe('Most that models may take; above it the least recently used that no list names go, after each sync'),
  testCopy: z
    .strictObject({
      enabled: z.boolean().default(false).describe('Whether a model is copied under another name, to try discovery'),
      source: z.string().min(1).optional().describe('Which one; a path'),
      to: z.string().min(1).optional().describe('Into which folder; default the shared checkpoints'),
    })
    .prefault({}),
});

/** Defaults filled in. */
export type ModelsConfig = z.output<typeof modelsSchema>;
export type ModelsInput = z.input<typeof modelsSchema>;

/** What `auto` comes to at the start of a machine with these GPUs: simulated engines need no weights. */
export function decided<C extends Pick<ModelsConfig, 'download' | 'sync' | 'testMode'>>(
  config: C,
  gpus: readonly Pick<Gpu, 'mode'>[],
) {
  const isSimulated = gpus.length > 0 && gpus.every(({ mode }) => mode === 'mock');
  const decide = (given: boolean | 'auto') => (given === 'auto' ? !isSimulated || config.testMode : given);
  return {
    ...config,
    download: decide(config.download),
    sync: { ...config.sync, enabled: decide(config.sync.enabled) },
  };
}

/** Configuration of `services.static-models`. */
export const staticModelsSchema = z.strictObject({
  enabled: z.boolean().default(true).describe('Whether the links of static-models.json are made at the start'),
  file: z.string().min(1).optional().describe('Path of the file; default `shared/static-models.json`'),
});

export type StaticModelsConfig = z.output<typeof staticModelsSchema>;
