import { z } from 'zod';
import type { CommandOperation } from './command-operation.ts';
import { flag, names, text } from './input.ts';

const size = z
  .union([
    z.number().int().min(0),
    z
      .string()
      .max(20)
      .regex(/^\d+(\.\d+)?[kmgt]?i?b?$/i, 'a size such as 50G'),
  ])
  .optional();

export const modelOperations: readonly CommandOperation[] = [
  {
    name: 'models.ls',
    summary: 'The models that are there, on their way, or missing',
    changes: false,
    input: z.strictObject({}),
  },
  {
    name: 'models.pull',
    summary: 'Brings models: those of the list that are missing, or addresses',
    changes: true,
    input: z.strictObject({
      models: z
        .array(text(4_096))
        .max(1_000)
        .optional()
        .describe('Names on the list, or https, hf://, civitai://, s3://, gs://, az://; default: what is missing'),
      to: text().optional().describe('Where one address comes to, such as loras/name.safetensors or loras/'),
      type: text(50).optional().describe('Kind of model, where there is no path: checkpoint, lora, vae, …'),
      sha256: z
        .string()
        .regex(/^[0-9a-f]{64}$/i, '64 hexadecimal digits')
        .optional()
        .describe('Checksum of one address'),
      size: z.number().int().min(1).optional().describe('Bytes of one address'),
      force: flag('Bring what is there anew'),
    }),
    operands: ['models'],
  },
  {
    name: 'models.sync',
    summary: 'What each start does: folders, the list, and the bucket when it is due',
    changes: true,
    input: z.strictObject({
      checkOnly: flag('Only say what would be brought'),
      force: flag('Look at the bucket however young the last sync is'),
      specificDirs: text(2_000).optional().describe('Only these folders of the bucket, separated by commas'),
      maxAge: z.number().min(0).max(36_500).optional().describe('Days that the last sync may be old'),
      provider: z.enum(['aws', 'google', 'azure']).optional().describe('Whose bucket'),
      bucket: text(255).optional().describe('Which bucket or container'),
      test: flag('The test container, and test models of the list'),
    }),
  },
  {
    name: 'models.verify',
    summary: 'Reads every byte of models and compares it with what it should be',
    changes: false,
    input: z.strictObject({ names: names('Names; default: all').optional() }),
    operands: ['names'],
  },
  {
    name: 'models.evict',
    summary: 'Removes the least recently used models that mgpu brought',
    changes: true,
    input: z.strictObject({
      free: size.describe('At least so much: bytes, or a size such as `50G`'),
      to: size.describe('Until all models together take no more: bytes, or a size such as `50G`'),
      listed: flag('Also those on the list; the next start brings them again'),
      dryRun: flag('Only say what would go'),
    }),
  },
  {
    name: 'models.du',
    summary: 'The space that models take, and which are used least',
    changes: false,
    input: z.strictObject({}),
  },
];
