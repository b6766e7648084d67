export { type RedisConfig, redisSchema } from './config.ts';
export { redis } from './definition.ts';
export { type ExternalRedisOptions, ExternalRedisService } from './external-redis-service.ts';
export { type RedisOptions, RedisService } from './redis-service.ts';
