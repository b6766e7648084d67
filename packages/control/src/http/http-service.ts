import {
  BaseService,
  type Endpoint,
  expectPortsFree,
  isLoopback,
  type Run,
  type ServiceContext,
  standaloneContext,
} from '@mgpu/core';
import type { z } from 'zod';
import type { ControlApi } from '../control-api.ts';
import { UnprotectedError } from '../errors.ts';
import { closeServer, createControlServer } from '../server.ts';
import { httpSchema, type OwnHttpConfig } from './config.ts';
import { Guard } from './guard.ts';
import { ensureToken, fixedToken, TokenFile, type TokenSource, tokenPath } from './token.ts';

const ownSchema = httpSchema.omit({ enabled: true });

/** The service used alone; every key has a default. */
export type HttpOptions = z.input<typeof ownSchema>;

/** Milliseconds that a port may still be taken by whoever has just let go of it. */
const portWaitMs = 1_000;

/**
 * The machine's API over TCP: loopback unless said otherwise, and with a token for whatever changes or reveals something. A start
 * fails with `CONTROL_UNPROTECTED`, `CONTROL_TOKEN`, `CORE_PORT_IN_USE` and `CORE_PORT_UNUSABLE`.
 */
export class HttpService extends BaseService<OwnHttpConfig> {
  readonly #api: ControlApi;

  constructor(options: HttpOptions, api: ControlApi, context: ServiceContext = standaloneContext({ kind: 'http' })) {
    super(ownSchema.parse(options), context);
    this.#api = api;
  }

  override get endpoint(): Endpoint {
    const { host, port } = this.config;
    const name = host.includes(':') ? `[${host}]` : host;
    return { instance: this.id, kind: this.kind, url: new URL(`http://${name}:${port}`) };
  }

  protected override async onStart(run: Run): Promise<void> {
    const { config, context, id } = this;
    const { host, port, maxConnections, maxStreams } = config;
    if (!config.auth && !isLoopback(host)) throw new UnprotectedError({ host });
    const guard = new Guard(config, await this.#tokenSource());
    await expectPortsFree(id, [{ host, port }], { clock: context.clock, ms: portWaitMs, signal: run.signal });
    const server = createControlServer(this.#api, {
      face: {
        name: 'tcp',
        instance: id,
        isTrusted: (request) => guard.isTrusted(request),
        whoIs: (request) => ({ face: 'tcp', address: request.ip, fingerprint: guard.fingerprint(request) }),
      },
      clock: context.clock,
      mostStreams: maxStreams,
    });
    await guard.watch(server);
    server.server.maxConnections = maxConnections;
    run.defer(() => closeServer(server, context.clock));
    await server.listen({ host, port });
  }

  /** Undefined where nobody needs one. */
  async #tokenSource(): Promise<TokenSource | undefined> {
    const { auth, token } = this.config;
    if (!auth) return undefined;
    if (token !== undefined) return fixedToken(token);
    const path = tokenPath(this.context.layout);
    await ensureToken(path);
    return new TokenFile(path);
  }
}
