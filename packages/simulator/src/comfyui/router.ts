import { empty, type Handler, plain, type Reply, type Route } from '../http.ts';

interface Found {
  readonly handle: Handler;
  readonly params: Record<string, string>;
}

/** Finds the handler of a path as aiohttp does, with the static folder that answers every other GET with 404. */
export class Router {
  readonly #exact = new Map<string, Map<string, Handler>>();
  readonly #patterns: { parts: readonly string[]; method: string; handle: Handler }[] = [];

  constructor(routes: readonly Route[]) {
    for (const { method, path, handle, twin } of routes) {
      for (const full of twin ? [path, `/api${path}`] : [path]) {
        if (full.includes('{')) this.#patterns.push({ parts: full.split('/'), method, handle });
        else this.#exact.set(full, (this.#exact.get(full) ?? new Map<string, Handler>()).set(method, handle));
      }
    }
  }

  find(verb: string, path: string): Found | Reply {
    const method = verb === 'HEAD' ? 'GET' : verb;
    const methods = this.#exact.get(path);
    const handle = methods?.get(method);
    if (handle !== undefined) return { handle, params: {} };
    const allowed = new Set(['GET', 'HEAD', ...(methods?.keys() ?? [])]);
    const parts = path.split('/');
    for (const pattern of this.#patterns) {
      const params = match(pattern.parts, parts);
      if (params === undefined) continue;
      if (pattern.method === method) return { handle: pattern.handle, params };
      allowed.add(pattern.method);
    }
    return method === 'GET' ? empty(404) : plain(405, '405: Method Not Allowed', { Allow: [...allowed].join(',') });
  }
}

function match(pattern: readonly string[], parts: readonly string[]): Record<string, string> | undefined {
  if (pattern.length !== parts.length) return undefined;
  const params: Record<string, string> = {};
  for (let i = 0; i < parts.length; i++) {
    const [wanted, part] = [pattern[i] as string, parts[i] as string];
    if (!wanted.startsWith('{')) {
      if (wanted !== part) return undefined;
    } else if (part === '') return undefined;
    else params[wanted.slice(1, -1)] = part;
  }
  return params;
}
