import { isAbsolute } from 'node:path';
import { z } from 'zod';
import { ComfyUIInputInvalidError } from '../errors.ts';

const node = z.looseObject({ class_type: z.string().min(1), inputs: z.record(z.string(), z.unknown()).default({}) });
const plainName = z.string().regex(/^[^/\\]+$/, 'must be a file name without folders');

/** What a job of type `comfyui` asks for. */
export const comfyuiJobInputSchema = z.strictObject({
  prompt: z.record(z.string(), node).describe('The workflow in API format'),
  extraData: z
    .record(z.string(), z.unknown())
    .optional()
    .describe('`extra_data` of the prompt, e.g. { extra_pnginfo }'),
  uploads: z
    .array(
      z.strictObject({
        name: plainName.describe('Name among the inputs; what is there already is replaced'),
        subfolder: z.string().optional().describe('Folder among the inputs'),
        path: z.string().refine(isAbsolute, 'must be absolute').describe('File on the machine that runs the job'),
      }),
    )
    .default([])
    .describe('Files to store among the inputs before the workflow runs'),
});

export type ComfyUIJobInput = z.input<typeof comfyuiJobInputSchema>;
export type ReadJobInput = z.output<typeof comfyuiJobInputSchema>;

const maxProblems = 5;

/** `COMFYUI_INPUT_INVALID` names each problem with its path. */
export function readJobInput(input: unknown): ReadJobInput {
  const parsed = comfyuiJobInputSchema.safeParse(input);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'input'}: ${message}`);
  if (isUiFormat(input)) problems.unshift('prompt: this is a workflow as the editor saves it, not in API format');
  throw new ComfyUIInputInvalidError({ problems: problems.slice(0, maxProblems), fault: 'permanent' });
}

/** The editor's own format has lists of nodes and links where the API has nodes by id. */
function isUiFormat(input: unknown): boolean {
  const { prompt } = (input ?? {}) as { prompt?: { nodes?: unknown; links?: unknown } | null };
  return Array.isArray(prompt?.nodes) && Array.isArray(prompt.links);
}
