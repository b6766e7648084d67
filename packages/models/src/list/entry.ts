import { z } from 'zod';

const sha256 = z
  .string()
  .regex(/^[0-9a-fA-F]{64}$/, 'a SHA-256, 64 hexadecimal digits')
  .transform((text) => text.toLowerCase());

/** One model as a list has it. */
export const modelEntrySchema = z.strictObject({
  url: z.string().min(1).describe('https, hf://, civitai://, s3://, gs:// or az://'),
  path: z
    .string()
    .min(1)
    .optional()
    .describe('File or folder below shared/models; what begins with models/ or sd_models/ is below shared'),
  name: z.string().min(1).optional().describe("Name of the file where `path` is a folder; default the source's"),
  type: z.string().min(1).optional().describe('Kind of model, where there is no `path`: checkpoint, lora, vae, …'),
  size: z.number().int().positive().optional().describe('Bytes it has'),
  sha256: sha256.optional().describe('SHA-256 of it, in hexadecimal digits'),
  aliases: z.array(z.string().min(1)).optional().describe('Further names in the same folder, as links'),
  test: z.boolean().optional().describe('Brought in test mode, too'),
  protected: z.boolean().optional().describe('Never evicted'),
  description: z.string().optional().describe('For people'),
});

export type ModelEntryInput = z.input<typeof modelEntrySchema>;

/** One model, where it comes from and where it belongs. */
export interface ModelEntry {
  readonly url: string;
  /** Path below `shared`; undefined where only the source knows the name. */
  readonly path?: string;
  /** Folder below `shared`, where `path` is undefined. */
  readonly folder: string;
  readonly size?: number;
  readonly sha256?: string;
  /** Paths below `shared`. */
  readonly aliases: readonly string[];
  readonly isForTests: boolean;
  readonly isProtected: boolean;
}
