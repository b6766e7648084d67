import { BaseService, type Endpoint, type Probes, type Run, type ServiceContext, standaloneContext } from '@mgpu/core';
import { type RedisConfig, redisSchema } from './config.ts';
import { diagnoseServer } from './diagnose.ts';
import { pingProbe } from './ping-probe.ts';

const externalSchema = redisSchema.omit({ enabled: true, program: true, startTimeoutMs: true }).required({ url: true });

/** An existing server. */
export interface ExternalRedisOptions extends Partial<Pick<RedisConfig, 'checkIntervalMs'>> {
  /** `redis://user:password@host:6379/0`, `rediss://…` or `unix:///path`. */
  readonly url: string;
}

/**
 * The Redis whose URL is configured: that one and no other. Starting never fails for it. While it cannot be used the
 * health is `notReady` with the reason; as soon as it answers PING it is `ready`. What makes it unfit for a queue is logged
 * as a warning at the start.
 */
export class ExternalRedisService extends BaseService<{ url: string; checkIntervalMs: number }> {
  constructor(options: ExternalRedisOptions, context: ServiceContext = standaloneContext({ kind: 'redis' })) {
    super(externalSchema.parse(options), context);
  }

  /** With the credentials: for whoever connects, not for showing. */
  override get endpoint(): Endpoint {
    return { instance: this.id, kind: this.kind, url: new URL(this.config.url) };
  }

  /** There is nothing to acquire: whoever uses the server brings a connection of their own. */
  protected override async onStart(run: Run): Promise<void> {
    const { context, config, id } = this;
    const { level, message, hint } = await diagnoseServer(config.url, run.signal);
    run.signal.throwIfAborted();
    if (level !== 'ok') context.log.warn(message, { instance: id, hint });
  }

  protected override probes(): Probes {
    const { url, checkIntervalMs } = this.config;
    const probe = pingProbe(new URL(url));
    return { readiness: { probe, intervalMs: checkIntervalMs, failures: 2 } };
  }
}
