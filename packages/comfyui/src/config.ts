import { gpuSelectionSchema } from '@mgpu/core';
import { z } from 'zod';

/** Flags with which one instance is kept apart from the others; they are mgpu's to give. */
export const ownFlags = [
  '--listen',
  '--port',
  '--output-directory',
  '--input-directory',
  '--temp-directory',
  '--user-directory',
  '--database-url',
];
/** Python's argparse takes any beginning of a flag that is unique. */
const isOwnFlag = (word: string) => {
  const name = word.replace(/=.*/s, '');
  return name.length > 3 && name.startsWith('--') && ownFlags.some((flag) => flag.startsWith(name));
};

/** Configuration under `services.comfyui`. */
export const comfyuiSchema = z.strictObject({
  enabled: z.boolean().default(true).describe('Whether ComfyUI runs on this machine'),
  basePort: z.number().int().min(1).max(65_472).default(8188).describe('Port on GPU 0; GPU n has basePort + n'),
  dir: z.string().min(1).optional().describe('The checkout, never changed. Default: <root>/engines/comfyui/current'),
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
          `mgpu itself gives ${ownFlags.join(', ')} (engines listen on the loopback interface, nginx in front of them)`,
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

/** What `new ComfyUIService` needs: one instance's share of the configuration. */
export interface ComfyUIOptions extends Partial<Omit<ComfyUIConfig, 'enabled' | 'basePort' | 'gpus'>> {
  /** Index of the GPU, looked up with nvidia-smi. Default: whatever the process sees. Ignored with a context. */
  readonly gpu?: number;
  /** Default 8188 + gpu. */
  readonly port?: number;
  /** Folder for its outputs, logs and shared models. Default: a temporary one, removed at the stop. Ignored with a context. */
  readonly root?: string;
}
