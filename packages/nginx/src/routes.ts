import { isIP } from 'node:net';
import type { Endpoint } from '@mgpu/core';
import { ipOf } from './address.ts';
import type { NginxConfig } from './config.ts';
import { ValueRefusedError } from './errors.ts';

/** One engine behind the proxy. */
export interface ProxyTarget {
  readonly gpu: number;
  /** `127.0.0.1:8188`, as nginx writes it. */
  readonly address: string;
  /** The port of its own, when its kind has such ports. */
  readonly port?: number;
}

/** All engines of one kind. */
export interface ProxyRoute {
  readonly kind: string;
  /** With slashes at both ends. */
  readonly path: string;
  /** In the order of their GPUs, at least one. */
  readonly targets: readonly ProxyTarget[];
}

/** Which of the endpoints are proxied, and how. Throws `NGINX_VALUE_REFUSED` for an endpoint no proxy can be made for. */
export function planRoutes(
  { port, upstreams }: Pick<NginxConfig, 'port' | 'upstreams'>,
  endpoints: readonly Endpoint[],
): readonly ProxyRoute[] {
  const routes = Object.entries(upstreams)
    .filter(([, { enabled }]) => enabled)
    .map(([kind, { path = `/${kind}/`, basePort }]): ProxyRoute => {
      const own = endpoints.filter((each) => each.kind === kind).map((each) => targetOf(each, basePort));
      return { kind, path, targets: own.toSorted((a, b) => a.gpu - b.gpu) };
    })
    .filter(({ targets }) => targets.length > 0);
  for (const { kind, targets } of routes) {
    expectDistinct(
      `the GPU of a ${kind} endpoint`,
      targets.map(({ gpu }) => gpu),
    );
  }
  expectDistinct('the port', [port, ...portsOf(routes)]);
  return routes;
}

/** The ports the routes take besides the main one. */
export function portsOf(routes: readonly ProxyRoute[]): number[] {
  return routes.flatMap(({ targets }) => targets.flatMap(({ port }) => port ?? []));
}

function targetOf({ instance, gpu = 0, url }: Endpoint, basePort: number | undefined): ProxyTarget {
  const refuse = (problem: string) => {
    return new ValueRefusedError({ what: `the endpoint of ${instance}`, value: url.href, problem });
  };
  if (url.protocol !== 'http:') throw refuse('only http:// is proxied');
  const host = ipOf(url.hostname);
  // The address nginx reports for an answer must be the one written here: it tells which engine answered.
  if (isIP(host.replace(/^\[(.*)\]$/, '$1')) === 0) throw refuse('its host is neither an IP address nor localhost');
  if (!Number.isInteger(gpu) || gpu < 0) throw refuse(`its GPU is ${gpu}`);
  const port = basePort === undefined ? undefined : basePort + gpu;
  if (port !== undefined && port > 65_535) throw refuse(`its port would be ${port}`);
  return { gpu, address: `${host}:${url.port || '80'}`, ...(port === undefined ? {} : { port }) };
}

function expectDistinct(what: string, values: readonly number[]): void {
  const twice = values.find((value, index) => values.indexOf(value) !== index);
  if (twice !== undefined) throw new ValueRefusedError({ what, value: String(twice), problem: 'it is used twice' });
}
