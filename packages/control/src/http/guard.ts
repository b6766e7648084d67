import { isIP } from 'node:net';
import { hostname } from 'node:os';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type EndpointId, endpoints } from '../api/endpoints.ts';
import { ForeignRequestError, TooManyRequestsError, UnauthorizedError } from '../errors.ts';
import type { OwnHttpConfig } from './config.ts';
import type { TokenSource } from './token.ts';

const probes: ReadonlySet<string> = new Set<EndpointId>(['getLive', 'getReady', 'getHealth']);

/** Keeps out who must not come in over TCP: before anything of a request but its head is read. */
export class Guard {
  readonly #config: OwnHttpConfig;
  /** Undefined where nobody needs one. */
  readonly #token: TokenSource | undefined;
  readonly #names: ReadonlySet<string>;

  constructor(config: OwnHttpConfig, token: TokenSource | undefined) {
    this.#config = config;
    this.#token = token;
    this.#names = new Set(['localhost', config.host, hostname(), ...config.hosts].map((name) => name.toLowerCase()));
  }

  async watch(server: FastifyInstance): Promise<void> {
    const { requestsPerSecond: most } = this.#config;
    const { default: rateLimit } = await import('@fastify/rate-limit');
    await server.register(rateLimit, { global: false });
    const count = server.createRateLimit({ max: most, timeWindow: 1_000 });
    server.addHook('onRequest', async (request, reply) => {
      reply.headers(securityHeaders);
      const { endpoint } = request.routeOptions.config;
      // Nobody on this host is to keep probes from their answer by asking much himself.
      const rate = endpoint !== undefined && probes.has(endpoint) ? undefined : await count(request);
      if (rate?.isAllowed === false && rate.isExceeded) throw new TooManyRequestsError({ most });
      this.#expectOwnHost(request.headers.host);
      const origin = this.#expectKnownOrigin(request);
      if (origin !== undefined) reply.headers({ ...corsHeaders, 'access-control-allow-origin': origin });
      if (request.method === 'OPTIONS' && origin !== undefined) return reply.status(204).send();
      if (endpoint === undefined || endpoints[endpoint].access !== 'open') this.#expectTrusted(request);
      return undefined;
    });
  }

  isTrusted(request: FastifyRequest): boolean {
    return this.#token === undefined || this.whoIs(request) !== undefined;
  }

  /** Whoever asks, by the token: the first characters of its hash. */
  whoIs({ headers }: Pick<FastifyRequest, 'headers'>): string | undefined {
    const [, given] = /^Bearer +([\w.~+/=-]{1,500})$/i.exec(headers.authorization ?? '') ?? [];
    return given === undefined ? undefined : this.#token?.check(given);
  }

  /** The same for a record, also while it cannot be told. */
  fingerprint(request: FastifyRequest): string | undefined {
    try {
      return this.whoIs(request);
    } catch {
      return undefined;
    }
  }

  #expectTrusted(request: FastifyRequest): void {
    if (this.isTrusted(request)) return;
    const { authorization } = request.headers;
    throw new UnauthorizedError({ problem: authorization === undefined ? 'there is none' : 'it is another one' });
  }

  /** A page that gives its own name our address (DNS rebinding) says that name; an address cannot be given away. */
  #expectOwnHost(host: string | undefined): void {
    if (host === undefined) return; // HTTP/1.0, as simple probes speak it; every browser says one
    const name = nameIn(host);
    if (this.#names.has(name) || isIP(name) !== 0) return;
    throw new ForeignRequestError({ header: 'Host', value: host.slice(0, 253), key: 'services.http.hosts' });
  }

  /** Pages of others must not ask with what a browser adds by itself. Undefined for who is no page, or one of ours. */
  #expectKnownOrigin({ headers }: FastifyRequest): string | undefined {
    const { origin, host = '' } = headers;
    if (origin === undefined || origin === `http://${host}` || origin === `https://${host}`) return undefined;
    if (this.#config.origins.some((each) => new URL(each).origin === origin)) return origin;
    throw new ForeignRequestError({ header: 'Origin', value: origin.slice(0, 253), key: 'services.http.origins' });
  }
}

/** Of a Host header, without port and brackets. */
const nameIn = (host: string): string =>
  host
    .replace(/:\d{1,5}$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase();

const securityHeaders = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const satisfies Parameters<FastifyReply['headers']>[0];

const corsHeaders = {
  vary: 'Origin',
  'access-control-allow-methods': 'GET, POST, DELETE',
  'access-control-allow-headers': 'Authorization, Content-Type, Last-Event-ID, Range',
  'access-control-expose-headers': 'Content-Range, Location, Repr-Digest, Retry-After',
  'access-control-max-age': '600',
  'cross-origin-resource-policy': 'cross-origin',
} as const;
