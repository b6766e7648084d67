import { isIPv6 } from 'node:net';

/** A host as an IP address: `localhost` may mean several, and nginx has to listen on, and report, the one we write. */
export const ipOf = (host: string): string => (host === 'localhost' ? '127.0.0.1' : host);

/** A host as it is written before a port: an IPv6 address in brackets. */
export const beforePort = (host: string): string => (isIPv6(host) ? `[${host}]` : host);
