import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Endpoint,
  instanceSocketPath,
  type Probes,
  ProcessService,
  type ProcessSpec,
  prepareSocket,
  type Run,
  type ServiceContext,
  socketUrl,
  standaloneContext,
} from '@mgpu/core';
import { type RedisConfig, redisSchema } from './config.ts';
import { locateProgram } from './locate-program.ts';
import { pingProbe } from './ping-probe.ts';

const ownSchema = redisSchema.omit({ enabled: true, url: true });

/** Our own server; every key has a default. */
export interface RedisOptions extends Partial<Pick<RedisConfig, 'program' | 'startTimeoutMs' | 'checkIntervalMs'>> {
  /** Used alone: folder for data and logs. Default: a temporary one, removed when the service stops. */
  readonly dir?: string;
}

/**
 * Runs a Redis or Valkey on a Unix socket of mode 0600, without any TCP port. Data is append-only (synced every second)
 * under `<root>/state/redis` and outlives stops and crashes. Nothing is ever evicted. Ready means that it answered PING.
 */
export class RedisService extends ProcessService<Omit<RedisConfig, 'enabled' | 'url'>> {
  /** The server of the present run. */
  #program: string | undefined;

  constructor({ dir, ...options }: RedisOptions = {}, context?: ServiceContext) {
    super(ownSchema.parse(options), context ?? standaloneContext({ kind: 'redis', root: dir }));
  }

  /** Absolute path of the socket. */
  get socketPath(): string {
    return instanceSocketPath(this.context.layout, this.id);
  }

  override get endpoint(): Endpoint {
    return { instance: this.id, kind: this.kind, url: socketUrl(this.socketPath) };
  }

  protected override async onPrepare(run: Run): Promise<void> {
    const { config, context, id } = this;
    this.#program = await locateProgram(config.program, context.env);
    run.defer(() => {
      this.#program = undefined;
    });
    await prepareSocket(run, context.layout, id);
    await mkdir(this.#dataDir, { recursive: true, mode: 0o700 });
  }

  protected override command(): ProcessSpec {
    const options: Readonly<Record<string, string>> = {
      port: '0',
      unixsocket: this.socketPath,
      unixsocketperm: '600',
      'protected-mode': 'yes',
      daemonize: 'no',
      dir: this.#dataDir,
      appendonly: 'yes',
      appendfsync: 'everysec',
      save: '',
      // BullMQ's promise: a queue whose keys may be evicted loses jobs.
      'maxmemory-policy': 'noeviction',
      logfile: '',
    };
    return {
      file: this.#program ?? 'redis-server',
      args: Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]),
      cwd: this.#dataDir,
      graceMs: 30_000,
    };
  }

  protected override probes(): Probes {
    const probe = pingProbe(this.endpoint.url);
    const { startTimeoutMs, checkIntervalMs } = this.config;
    return {
      startup: { probe, deadlineMs: startTimeoutMs, intervalMs: 20 },
      readiness: { probe, intervalMs: checkIntervalMs },
      liveness: { probe, orReady: true, intervalMs: 10_000, timeoutMs: 2_000, failures: 3 },
    };
  }

  get #dataDir(): string {
    return join(this.context.layout.state, 'redis');
  }
}
