import { z } from 'zod';
import type { AnyServiceDefinition } from '../definition/define-service.ts';
import { logLimits, mebibyte } from '../instance-log/log-limits.ts';
import { logLevels } from '../logs/logger.ts';

/** For a gpu-scoped service: which GPUs it runs on. Give it the key `gpus`. */
export const gpuSelectionSchema = z
  .union([z.literal('all'), z.array(z.number().int().nonnegative())], {
    error: 'must be "all" or a list of indexes such as [0, 1]; `enabled: false` is for none',
  })
  .default('all')
  .describe('GPUs it runs on: "all" or a list of indexes');

const machineSchema = z.strictObject({
  id: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/)
    .default('auto')
    .describe('Name of the machine; "auto" makes one up once and keeps it'),
  root: z
    .string()
    .min(1)
    .default('auto')
    .describe('Folder for everything; "auto" is /workspace where that exists, else ~/.mgpu'),
  gpu: z
    .strictObject({
      count: z
        .union([z.literal('auto'), z.number().int().min(1).max(64)], {
          error: 'must be "auto" or a whole number from 1 to 64',
        })
        .default('auto')
        .describe('GPUs to use; "auto" is all there are'),
      mode: z
        .enum(['auto', 'nvidia', 'cpu', 'mock'])
        .default('auto')
        .describe('"auto" asks nvidia-smi; "cpu" runs engines on the CPU; "mock" runs simulators'),
    })
    .prefault({}),
  pauseBefore: z
    .array(z.string().min(1))
    .optional()
    .describe('For debugging: phases before which a boot waits until a file of `run` is removed, which its log names'),
});

const loggingSchema = z.strictObject({
  level: z.enum(logLevels).default('info').describe("Least severe level in the daemon's log"),
  maxSizeMiB: z.number().positive().default(20).describe('Size at which a file of the day is cut, in MiB'),
  maxDays: z.number().int().positive().default(14).describe('Days a file is kept'),
  instances: z
    .strictObject({
      maxSizeMiB: z
        .number()
        .min(1)
        .default(logLimits.maxBytes / mebibyte)
        .describe('Size above which the beginning of an output is archived, in MiB'),
      keepArchives: z
        .number()
        .int()
        .nonnegative()
        .default(logLimits.keepArchives)
        .describe('Archives kept of an instance'),
      keepMiB: z
        .number()
        .positive()
        .default(logLimits.keepBytes / mebibyte)
        .describe('Size of the archives of an instance, in MiB'),
      keepDays: z.number().positive().default(logLimits.keepDays).describe('Days an archive is kept'),
      totalMiB: z
        .number()
        .positive()
        .default(logLimits.totalBytes / mebibyte)
        .describe('Size of all outputs of the machine, in MiB'),
    })
    .prefault({})
    .describe("The instances' output"),
});

/** The whole configuration, defaults filled in. */
export interface MachineConfig {
  readonly machine: z.output<typeof machineSchema>;
  readonly logging: z.output<typeof loggingSchema>;
  readonly services: Readonly<Record<string, { readonly enabled: boolean } & Readonly<Record<string, unknown>>>>;
  readonly plugins: readonly string[];
}

/** One strict schema out of the schemas of all services. Defaults live in those, nowhere else. */
export function composeConfigSchema(definitions: readonly AnyServiceDefinition[]): z.ZodType<MachineConfig> {
  const services = Object.fromEntries(
    definitions.map(({ kind, schema, summary }) => [kind, schema.prefault({}).describe(summary)]),
  );
  return z.strictObject({
    $schema: z.string().optional().describe('Where editors find the schema of this file'),
    machine: machineSchema.prefault({}).describe('The machine as a whole'),
    logging: loggingSchema.prefault({}).describe("The daemon's own log"),
    services: z.strictObject(services).prefault({}).describe('One block per service'),
    plugins: z.array(z.string().min(1)).default([]).describe('npm packages that export a service definition'),
  }) as unknown as z.ZodType<MachineConfig>;
}

/** JSON Schema of the configuration file, for editors. */
export function configJsonSchema(definitions: readonly AnyServiceDefinition[]): z.core.JSONSchema.BaseSchema {
  return z.toJSONSchema(composeConfigSchema(definitions), { io: 'input', unrepresentable: 'any' });
}
