import { z } from 'zod';

const isRedisUrl = (text: string) =>
  URL.canParse(text) && ['redis:', 'rediss:', 'unix:'].includes(new URL(text).protocol);

/** Configuration of `services.redis`. */
export const redisSchema = z.strictObject({
  enabled: z.boolean().default(true).describe('Whether the machine has a queue'),
  url: z
    .string()
    .refine(isRedisUrl, 'must be a redis://, rediss:// or unix:// URL')
    .optional()
    .describe('An existing Redis or Valkey: that one and no other. Without it one is run on a private Unix socket'),
  program: z
    .string()
    .min(1)
    .optional()
    .describe('Path of the server to run; without it redis-server or valkey-server is looked up in PATH'),
  startTimeoutMs: z
    .number()
    .int()
    .positive()
    .default(60_000)
    .describe('Milliseconds our own server may take until it answers; loading a large append-only file counts'),
  checkIntervalMs: z.number().int().min(50).default(3_000).describe('Milliseconds between two PINGs while it runs'),
});

/** Defaults filled in. */
export type RedisConfig = z.output<typeof redisSchema>;
