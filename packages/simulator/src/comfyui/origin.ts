import type { IncomingHttpHeaders } from 'node:http';

/** True for a page of another site that talks to a server on this machine. */
export function isForeign({ host = '', origin }: IncomingHttpHeaders): boolean {
  if (origin === undefined || origin === 'null') return false;
  const name = host.toLowerCase().replace(/:\d+$/, '');
  if (!/^(localhost|127(\.\d+){3}|\[::1\])$/.test(name)) return false;
  if (!URL.canParse(origin)) return true;
  const site = new URL(origin);
  // Ports are compared only where both sides name one.
  return /:\d+$/.test(host) && site.port !== '' ? site.host !== host.toLowerCase() : site.hostname !== name;
}
