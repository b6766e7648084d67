import { gpuSelectionSchema } from '@mgpu/core';
import { installerFields, requirementSchema, torchFields } from '@mgpu/core/python';
import { z } from 'zod';

/** Flags with which one instance is kept apart from the others and where it is reached; they are mgpu's to give. */
const ownFlags = [
  '--port',
  '--listen',
  '--server-name',
  '--subpath',
  '--tls-keyfile',
  '--tls-certfile',
  '--api-auth',
  '--gradio-auth',
  '--share',
  '--data-dir',
  '--models-dir',
  '--ckpt-dir',
  '--embeddings-dir',
  '--ui-settings-file',
  '--ui-config-file',
  '--styles-file',
  '--device-id',
  '--gpu-device-id',
];

/** Python's argparse takes any beginning of a flag that is unique and no flag itself, as `--api` is. */
function isOwnFlag(word: string): boolean {
  const name = word.replace(/=.*/s, '');
  return name.length > 3 && name !== '--api' && name.startsWith('--') && ownFlags.some((flag) => flag.startsWith(name));
}

const fileName = z.string().regex(/^(?!\.{1,2}$)[\w. -]+$/, 'must be a name without folders');

const repositorySchema = z.strictObject({
  repository: z.string().min(1).describe('Where it is cloned from: an https, ssh or file URL, or a path'),
  ref: z.string().min(1).describe('Branch, tag or commit'),
});

/** Configuration under `services.a1111.setup`: what is installed. */
const setupSchema = z.strictObject({
  repository: z
    .string()
    .min(1)
    .default('https://github.com/AUTOMATIC1111/stable-diffusion-webui.git')
    .describe("Where the program is cloned from: an https, ssh or file URL, or a path; Forge's, for example"),
  ref: z
    .string()
    .min(1)
    .default('82a973c04367123ae98bd9abdf80d9eda9b910e2')
    .describe('Branch, tag or commit; the default is release 1.10.1'),
  helpers: z
    .record(fileName, repositorySchema)
    .optional()
    .describe(
      'Repositories below `repositories`, by folder. Default: what webui 1.10.1 or Forge wants, as the checkout is',
    ),
  python: z.string().min(1).default('python3.10').describe('Interpreter the environment is made with: 3.10 or 3.11'),
  ...installerFields,
  torch: z
    .strictObject({
      ...torchFields(['torch==2.1.2', 'torchvision==0.16.2']),
      cudaVersions: z
        .array(z.number().positive())
        .min(1)
        .default([12.1, 11.8])
        .describe('CUDA versions that this torch was built for; `auto` takes the newest that the driver runs'),
    })
    .prefault({}),
  launcherPackages: z
    .array(z.string().regex(/^[^\s-]\S*$/, 'a package or the URL of one'))
    .default([
      'wheel',
      'https://github.com/openai/CLIP/archive/d50d76daa670286dd6cacf3bcd80b5e4823fc8e1.zip',
      'https://github.com/mlfoundations/open_clip/archive/bb6e834e9c70d9c27d0dc3ecedeebeaeb1ffad6b.zip',
    ])
    .describe('What its launcher would fetch besides its requirements, installed one after another'),
  xformersPackage: requirementSchema
    .default('xformers==0.0.23.post1')
    .describe('Installed with `xformers: true`; the release that fits the torch above'),
  models: repositorySchema
    .extend({
      ref: repositorySchema.shape.ref.optional().describe('Branch, tag or commit. Default: the default branch'),
    })
    .optional()
    .describe('Repository of models, cloned to shared/sd_models when nothing is there; a failure is a warning'),
});

export type A1111Setup = z.output<typeof setupSchema>;

/** Configuration under `services.a1111`. */
export const a1111Schema = z.strictObject({
  enabled: z.boolean().default(false).describe('Whether Automatic1111 is installed and runs on this machine'),
  basePort: z.number().int().min(1).max(65_472).default(3001).describe('Port on GPU 0; GPU n has basePort + n'),
  ui: z.boolean().default(false).describe('Serve the web page as well; default: the API alone'),
  dir: z
    .string()
    .min(1)
    .optional()
    .describe('A checkout of your own that is ready to run, never changed. Default: what `setup` installs'),
  setup: setupSchema.prefault({}),
  python: z
    .string()
    .min(1)
    .optional()
    .describe('Python to run a checkout of your own with. Default: that of <dir>/venv or <dir>/.venv'),
  command: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe('Program and first arguments started in place of `<python> launch.py`; nothing is installed then'),
  args: z
    .array(z.string().refine((word) => !isOwnFlag(word), `mgpu itself sees to ${ownFlags.join(', ')}`))
    .default([])
    .describe("Further arguments for launch.py, after mgpu's own"),
  xformers: z.boolean().default(false).describe('Attention by xformers, on GPUs'),
  noHalf: z.boolean().default(false).describe('Compute in 32 bits, for GPUs that make black pictures in 16'),
  tcmalloc: z
    .union([z.literal(['auto', 'off']), z.string().startsWith('/')])
    .default('auto')
    .describe('Path of the tcmalloc library that is preloaded; `auto`: where the system has it, `off`: never'),
  checkpoints: z
    .string()
    .min(1)
    .optional()
    .describe('Folder with checkpoints besides shared/sd_models. Default: shared/models/checkpoints'),
  aliases: z
    .record(fileName, fileName)
    .default({})
    .describe('Further names of checkpoints: links in shared/sd_models/Stable-diffusion, never over a file'),
  settings: z
    .record(z.string(), z.unknown())
    .default({})
    .describe('Settings (config.json) of all instances, such as sd_model_checkpoint; what is set in one later stays'),
  gpus: gpuSelectionSchema,
  cpu: z.boolean().default(false).describe('Run on the CPU though there are GPUs'),
  startDeadlineMs: z
    .number()
    .int()
    .positive()
    .default(300_000)
    .describe('Milliseconds a start may take before it has failed'),
  graceMs: z
    .number()
    .int()
    .nonnegative()
    .default(10_000)
    .describe('Milliseconds between the request to stop (SIGINT) and force'),
});

export type A1111Config = z.output<typeof a1111Schema>;

/** For a service that is made without the machine's configuration. */
export const defaults = a1111Schema.parse({});

/** What `new A1111Service` needs: one instance's share of the configuration. */
export interface A1111Options
  extends Partial<Omit<A1111Config, 'enabled' | 'basePort' | 'gpus' | 'setup' | 'aliases'>> {
  /** Index of the GPU, looked up with nvidia-smi. Default: whatever the process sees. Ignored with a context. */
  readonly gpu?: number;
  /** Default 3001 + gpu. */
  readonly port?: number;
  /** Folder for its settings, outputs and shared models. Default: a temporary one, removed at the stop. Ignored with a context. */
  readonly root?: string;
}
