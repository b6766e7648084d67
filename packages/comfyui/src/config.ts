import { gpuSelectionSchema } from '@mgpu/core';
import { installerFields, torchFields } from '@mgpu/core/python';
import { z } from 'zod';
import { extraNames } from './generations/extras.ts';

/** Flags with which one instance is kept apart from the others and where it is reached; they are mgpu's to give. */
const ownFlags = [
  '--listen',
  '--port',
  '--output-directory',
  '--input-directory',
  '--temp-directory',
  '--user-directory',
  '--database-url',
  '--cuda-device',
  '--default-device',
  '--tls-keyfile',
  '--tls-certfile',
];
/** Flags that `--cpu` excludes. */
const memoryFlags = ['--gpu-only', '--highvram', '--normalvram', '--lowvram', '--novram'];

/** Python's argparse takes any beginning of a flag that is unique. */
const isAmong = (flags: readonly string[]) => (word: string) => {
  const name = word.replace(/=.*/s, '');
  return name.length > 3 && name.startsWith('--') && flags.some((flag) => flag.startsWith(name));
};
const isOwnFlag = isAmong(ownFlags);
export const isMemoryFlag = isAmong(memoryFlags);

/** Configuration under `services.comfyui.setup`: what `mgpu comfyui setup` installs. */
const setupSchema = z.strictObject({
  repository: z
    .string()
    .min(1)
    .default('https://github.com/comfyanonymous/ComfyUI.git')
    .describe('Where ComfyUI is cloned from: an https, ssh or file URL, or a path'),
  ref: z.string().min(1).default('v0.33.0').describe('Branch, tag or commit'),
  python: z.string().min(1).default('python3').describe('Interpreter the environment is made with, 3.10 or newer'),
  ...installerFields,
  torch: z
    .strictObject({
      ...torchFields(['torch', 'torchvision', 'torchaudio']),
    })
    .prefault({}),
  extras: z.array(z.enum(extraNames)).default([]).describe('Accelerators that are installed as well'),
});

export type ComfyUISetup = z.output<typeof setupSchema>;

/** Configuration under `services.comfyui`. */
export const comfyuiSchema = z.strictObject({
  enabled: z.boolean().default(true).describe('Whether ComfyUI runs on this machine'),
  basePort: z.number().int().min(1).max(65_472).default(8188).describe('Port on GPU 0; GPU n has basePort + n'),
  dir: z
    .string()
    .min(1)
    .optional()
    .describe('A checkout of your own, never changed. Default: what `mgpu comfyui setup` installed'),
  setup: setupSchema.prefault({}),
  python: z
    .string()
    .min(1)
    .optional()
    .describe('Python to run it with. Default: that of <dir>/venv or <dir>/.venv, else python3'),
  command: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe('Program and first arguments started in place of `<python> main.py`; `dir` is not needed then'),
  args: z
    .array(
      z
        .string()
        .refine(
          (word) => !isOwnFlag(word),
          `mgpu itself sees to ${ownFlags.join(', ')} (an engine has one GPU and listens on the loopback interface, nginx in front of it)`,
        ),
    )
    .default([])
    .describe("Further arguments for main.py, after mgpu's own"),
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
    .default(20_000)
    .describe('Milliseconds between the request to stop (SIGINT) and force'),
});

export type ComfyUIConfig = z.output<typeof comfyuiSchema>;

/** For a service that is made without the machine's configuration. */
export const defaults = comfyuiSchema.parse({});

/** What `new ComfyUIService` needs: one instance's share of the configuration. */
export interface ComfyUIOptions extends Partial<Omit<ComfyUIConfig, 'enabled' | 'basePort' | 'gpus' | 'setup'>> {
  /** Index of the GPU, looked up with nvidia-smi. Default: whatever the process sees. Ignored with a context. */
  readonly gpu?: number;
  /** Default 8188 + gpu. */
  readonly port?: number;
  /** Folder for its outputs, logs and shared models. Default: a temporary one, removed at the stop. Ignored with a context. */
  readonly root?: string;
}
