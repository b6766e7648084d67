import { isIPv6 } from 'node:net';

/** An address as it stands in a URL. */
const inUrl = (host: string) => (isIPv6(host) ? `[${host}]` : host);

export const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || host.startsWith('127.');

/** What `OLLAMA_HOST` is set to. */
export const listenAddress = (host: string, port: number): string => `${inUrl(host)}:${port}`;

/** The host by which a server that listens there is reached on its own machine. */
export const reachableHost = (host: string): string => ({ '0.0.0.0': '127.0.0.1', '::': '::1' })[host] ?? host;

/** Where it is reached on its own machine. */
export const urlOf = (host: string, port: number): URL => new URL(`http://${inUrl(reachableHost(host))}:${port}`);

/** `host`, `host:port`, `:port` or a URL, as Ollama takes it. */
export function addressFromText(text: string): { host?: string; port?: number } {
  const bare = text
    .trim()
    .replace(/^https?:\/\//, '')
    .replace(/\/.*$/, '');
  const [, bracketed, plain = '', port] = /^(?:\[(.*)\]|([^:]*))(?::(\d+))?$/.exec(bare) ?? [];
  const host = bracketed ?? (isIPv6(bare) ? bare : plain);
  // What is none of these is left to the schema to refuse.
  if (host === '' && port === undefined) return { host: text };
  return { ...(host === '' ? {} : { host }), ...(port === undefined ? {} : { port: Number(port) }) };
}
