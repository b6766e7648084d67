import { mkdir, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  type Endpoint,
  type Probes,
  ProcessService,
  type ProcessSpec,
  type Run,
  type ServiceContext,
  standaloneContext,
} from '@mgpu/core';
import { type RedisConfig, redisSchema } from './config.ts';
import { locateProgram } from './locate-program.ts';
import { pingProbe } from './ping-probe.ts';
import { prepareSocketFolder, socketPathOf } from './socket-path.ts';

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
  #program = 'redis-server';

  constructor({ dir, ...options }: RedisOptions = {}, context?: ServiceContext) {
    super(
      ownSchema.parse(options),
      context ?? standaloneContext({ kind: 'redis', ...(dir === undefined ? {} : { root: dir }) }),
    );
  }

  /** Absolute path of the socket. */
  get socketPath(): string {
    return socketPathOf(this.context.layout);
  }

  override get endpoint(): Endpoint {
    // The path's special characters have to be escaped, as in a file URL.
    const { pathname } = pathToFileURL(this.socketPath);
    return { instance: this.id, kind: this.kind, url: new URL(`unix://${pathname}`) };
  }

  protected override async onPrepare(run: Run): Promise<void> {
    const { layout, env } = this.context;
    this.#program = await locateProgram(this.config.program, env);
    const { socketPath } = this;
    await prepareSocketFolder(this.id, socketPath);
    const folder = dirname(socketPath);
    if (folder !== layout.run) run.defer(() => rmdir(folder));
    run.defer(() => rm(socketPath, { force: true }));
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
      file: this.#program,
      args: Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]),
      cwd: this.#dataDir,
      graceMs: 30_000,
    };
  }

  protected override probes(): Probes {
    const probe = pingProbe(this.endpoint.url, this.socketPath);
    const { startTimeoutMs, checkIntervalMs } = this.config;
    return {
      startup: { probe, deadlineMs: startTimeoutMs, intervalMs: 20 },
      readiness: { probe, intervalMs: checkIntervalMs },
    };
  }

  get #dataDir(): string {
    return join(this.context.layout.state, 'redis');
  }
}
