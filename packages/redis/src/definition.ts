import { defineService } from '@mgpu/core';
import { redisSchema } from './config.ts';
import { diagnose } from './diagnose.ts';
import { ExternalRedisService } from './external-redis-service.ts';
import { locateProgram } from './locate-program.ts';
import { RedisService } from './redis-service.ts';

/** The machine's queue: its own Redis or Valkey, or the one that `url` names. */
export const redis = defineService({
  api: 1,
  kind: 'redis',
  summary: 'The queue: a private Redis or Valkey, or the one whose URL is configured',
  scope: 'machine',
  schema: redisSchema,
  env: {
    REDIS_URL: { key: 'url', summary: 'An existing Redis or Valkey' },
    // The predecessors' name comes last: it wins over the general one.
    HUB_REDIS_URL: { key: 'url', summary: 'An existing Redis or Valkey; wins over REDIS_URL' },
  },
  phase: 'Redis',
  critical: true,
  async install({ env }, { url, program }) {
    if (url === undefined) await locateProgram(program, env);
  },
  create: ({ url, program, startTimeoutMs, checkIntervalMs }, context) =>
    url === undefined
      ? new RedisService({ program, startTimeoutMs, checkIntervalMs }, context)
      : new ExternalRedisService({ url, checkIntervalMs }, context),
  doctor: (config, { env }) => diagnose(config, env),
});
