import { z } from 'zod';
import type { CommandOperation } from './command-operation.ts';
import { flag, names, text } from './input.ts';

const generation = text(100).describe('Its id or number');

/** What installs engines, and what is done with them when they run. */
export const engineOperations: readonly CommandOperation[] = [
  {
    name: 'comfyui.setup',
    summary: 'Installs ComfyUI, or brings it to what the configuration asks for, instance by instance',
    changes: true,
    input: z.strictObject({
      repository: text(2_000).optional().describe('Clone from there'),
      ref: text(250).optional().describe('Branch, tag or commit'),
      extra: z
        .array(z.enum(['xformers', 'flash-attention', 'sage-attention']))
        .min(1)
        .max(3)
        .optional()
        .describe('Accelerators'),
      update: flag('Look the branch or tag up again'),
    }),
  },
  {
    name: 'comfyui.generations',
    summary: 'The generations of ComfyUI, its packages and its custom nodes, and which one is in force',
    changes: false,
    input: z.strictObject({}),
  },
  {
    name: 'comfyui.generations.diff',
    summary: 'What changes from one generation to another',
    changes: false,
    input: z.strictObject({
      from: generation,
      to: generation.optional().describe('Its id or number; default: the one in force'),
    }),
    operands: ['from', 'to'],
  },
  {
    name: 'comfyui.generations.switch',
    summary: 'Brings a generation to all instances, one after the other; any failure brings all back',
    changes: true,
    input: z.strictObject({ id: generation }),
    operands: ['id'],
  },
  {
    name: 'comfyui.generations.rollback',
    summary: 'Brings the generation before to all instances at once',
    changes: true,
    input: z.strictObject({}),
  },
  {
    name: 'comfyui.generations.prune',
    summary: 'Removes old generations that are not in use',
    changes: true,
    input: z.strictObject({
      keep: z.number().int().min(1).max(1_000).optional().describe('Keep the newest so many; default: 3'),
    }),
  },
  {
    name: 'a1111.setup',
    summary: 'Installs Automatic1111, or brings it to what the configuration asks for',
    changes: true,
    input: z.strictObject({ update: flag('Look the branch or tag up again') }),
  },
  {
    name: 'a1111.models',
    summary: 'The checkpoints that Automatic1111 knows, and who has which one loaded',
    changes: false,
    input: z.strictObject({}),
  },
  {
    name: 'a1111.load',
    summary: 'Loads a checkpoint on all instances of Automatic1111 that run',
    changes: true,
    input: z.strictObject({
      model: text().describe("Its title, its file's name, or its hash"),
      gpu: z.number().int().min(0).max(999).optional().describe('Only on this GPU'),
    }),
    operands: ['model'],
  },
  {
    name: 'ollama.ls',
    summary: 'The models of Ollama on the disk',
    changes: false,
    input: z.strictObject({}),
  },
  {
    name: 'ollama.ps',
    summary: 'The models of Ollama in memory',
    changes: false,
    input: z.strictObject({}),
  },
  {
    name: 'ollama.pull',
    summary: 'Brings a model from the registry; an interrupted pull is gone on with',
    changes: true,
    input: z.strictObject({ model: text().describe('Its name in the registry, such as `llama3.2:3b`') }),
    operands: ['model'],
  },
  {
    name: 'ollama.rm',
    summary: 'Removes models of Ollama from the disk',
    changes: true,
    input: z.strictObject({ models: names('Names of models') }),
    operands: ['models'],
  },
];
