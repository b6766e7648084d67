import { isAbsolute } from 'node:path';
import { problemsOf } from '@mgpu/core/jobs';
import { z } from 'zod';
import { ComfyUIInputInvalidError } from '../errors.ts';

const node = z.looseObject({ class_type: z.string().min(1), inputs: z.record(z.string(), z.unknown()).default({}) });
const plainName = z.string().regex(/^[^/\\]+$/, 'must be a file name without folders');

/** How inputs of nodes name a file in a folder. */
export const fileReference = (subfolder: string | undefined, name: string) =>
  subfolder ? `${subfolder}/${name}` : name;

const inputSchema = z.strictObject({
  prompt: z.record(z.string(), node).describe('The workflow in API format'),
  extraData: z
    .record(z.string(), z.unknown())
    .optional()
    .describe('`extra_data` of the prompt, e.g. { extra_pnginfo }'),
  uploads: z
    .array(
      z.strictObject({
        name: plainName.describe('Name by which the workflow refers to it'),
        subfolder: z.string().optional().describe('Folder among the inputs: the workflow refers to `subfolder/name`'),
        path: z.string().refine(isAbsolute, 'must be absolute').describe('File on the machine that runs the job'),
      }),
    )
    .default([])
    .describe('Files to store among the inputs before the workflow runs'),
});

/** What a job of type `comfyui` asks for. */
export const comfyuiJobInputSchema = inputSchema.superRefine(({ prompt, uploads }, context) => {
  const values = new Set(Object.values(prompt).flatMap(({ inputs }) => Object.values(inputs)));
  for (const [index, { subfolder, name }] of uploads.entries()) {
    const reference = fileReference(subfolder, name);
    if (values.has(reference)) continue;
    context.addIssue({
      code: 'custom',
      path: ['uploads', index],
      message: `no input of the workflow is "${reference}", so nothing would use the file`,
    });
  }
});

export type ComfyUIJobInput = z.input<typeof comfyuiJobInputSchema>;
export type ReadJobInput = z.output<typeof comfyuiJobInputSchema>;

const maxProblems = 5;

/** `COMFYUI_INPUT_INVALID` names each problem with its path. */
export function readJobInput(input: unknown): ReadJobInput {
  const parsed = comfyuiJobInputSchema.safeParse(input);
  if (parsed.success) return parsed.data;
  const problems = problemsOf(parsed.error, 'input');
  if (isUiFormat(input)) problems.unshift('prompt: this is a workflow as the editor saves it, not in API format');
  throw new ComfyUIInputInvalidError({ problems: problems.slice(0, maxProblems) });
}

/** The editor's own format has lists of nodes and links where the API has nodes by id. */
function isUiFormat(input: unknown): boolean {
  const { prompt } = (input ?? {}) as { prompt?: { nodes?: unknown; links?: unknown } | null };
  return Array.isArray(prompt?.nodes) && Array.isArray(prompt.links);
}
