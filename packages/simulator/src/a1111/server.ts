import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import type { ProcessFaults } from '../faults/process-faults.ts';
import { json, type Reply, type Route, readBody, send } from '../http.ts';
import { failureReply } from './failure.ts';
import { apiRoutes, notJson, pageRoutes } from './routes.ts';
import { webuiSimRoutes } from './sim-routes.ts';
import type { Webui } from './webui.ts';

// An `import` of node:http reads all its exports, among them the getter of WebSocket, which loads undici: 40 ms of CPU.
const { createServer } = process.getBuiltinModule('node:http');

const maxBodyBytes = 512 * 1024 * 1024;
const leastGzipBytes = 1000;

/** The HTTP face, not yet bound. `stop`: ends in order, as a signal does. */
export function createWebuiServer(webui: Webui, processFaults: ProcessFaults, stop: () => void): Server {
  const kill = () => process.exit(0);
  const routes = new Map<string, Route['handle']>();
  const all = [
    ...(webui.options.api ? apiRoutes(webui, { kill, stop }) : []),
    ...(webui.options.webPage ? pageRoutes(webui) : []),
    ...webuiSimRoutes(webui, processFaults),
  ];
  for (const { method, path, handle } of all) routes.set(`${method} ${path}`, handle);
  const server = createServer((raw, response) => void respond(raw, response).catch(() => response.destroy()));
  return server;

  async function respond(raw: IncomingMessage, response: ServerResponse): Promise<void> {
    const began = performance.now();
    const url = new URL(raw.url ?? '/', 'http://localhost');
    const reply = await answer(raw, url);
    const { httpMs = 0 } = webui.faults.current.slow ?? {};
    if (httpMs > 0 && !url.pathname.startsWith('/sim/')) await setTimeout(httpMs);
    // One that is ending keeps no connection for later.
    const common = { Server: 'uvicorn', ...(server.listening ? {} : { Connection: 'close' }) };
    const took = ((performance.now() - began) / 1000).toFixed(4);
    send(
      response,
      compressed(raw, { ...reply, headers: { ...common, 'X-Process-Time': took, ...reply.headers } }),
      false,
    );
  }

  async function answer(raw: IncomingMessage, url: URL): Promise<Reply> {
    const isApi = url.pathname.startsWith('/sdapi/');
    const handle = isApi && !webui.isApiAttached ? undefined : routes.get(`${raw.method} ${url.pathname}`);
    if (!handle) return json({ detail: 'Not Found' }, 404);
    if (isApi && !mayEnter(raw, webui.options.credentials)) {
      return { ...json({ detail: 'Incorrect username or password' }, 401), headers: { 'WWW-Authenticate': 'Basic' } };
    }
    const body = () => readBody(raw, maxBodyBytes);
    try {
      const query = url.searchParams;
      const reply = await handle({
        query,
        params: {},
        raw,
        body,
        json: async () => JSON.parse((await body()).toString()),
      });
      return spoiled(webui, url.pathname, reply);
    } catch (error) {
      if (error instanceof SyntaxError) return notJson(error);
      process.stderr.write(`*** API error: ${raw.method} ${url.href}: ${(error as Error).message}\n`);
      return failureReply(error);
    }
  }
}

function mayEnter({ headers }: IncomingMessage, credentials: readonly string[]): boolean {
  if (credentials.length === 0) return true;
  const [, given = ''] = /^Basic (.+)$/.exec(headers.authorization ?? '') ?? [];
  return credentials.includes(Buffer.from(given, 'base64').toString());
}

function compressed({ headers }: IncomingMessage, reply: Reply): Reply {
  const { body } = reply;
  if (body === undefined || body.length < leastGzipBytes || !/\bgzip\b/.test(String(headers['accept-encoding'])))
    return reply;
  return { ...reply, headers: { ...reply.headers, 'Content-Encoding': 'gzip' }, body: gzipSync(body, { level: 1 }) };
}

function spoiled({ faults }: Webui, path: string, reply: Reply): Reply {
  const fault = faults.current.garbageJson;
  if (fault === undefined || path.startsWith('/sim/') || typeof reply.body !== 'string') return reply;
  if (fault.paths && !fault.paths.some((start) => path.startsWith(start))) return reply;
  if (faults.strike('garbageJson') === undefined) return reply;
  return { ...reply, status: 200, body: `${reply.body.slice(0, reply.body.length >> 1)}\u0000<html>` };
}
