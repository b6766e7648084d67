import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import type { ProcessFaults } from '../faults/process-faults.ts';
import { empty, plain, type Reply, readBody, send, TooLarge } from '../http.ts';
import type { Engine } from './engine.ts';
import { isForeign } from './origin.ts';
import { Router } from './router.ts';
import { historyRoutes } from './routes/history.ts';
import { infoRoutes } from './routes/info.ts';
import { internalRoutes } from './routes/internal.ts';
import { jobRoutes } from './routes/jobs.ts';
import { promptRoutes } from './routes/prompt.ts';
import { comfySimRoutes } from './routes/sim.ts';
import { uploadRoutes } from './routes/upload.ts';
import { viewRoutes } from './routes/view.ts';
import { webPage } from './routes/web.ts';
import { acceptSockets } from './websocket.ts';

// An `import` of node:http reads all its exports, among them the getter of WebSocket, which loads undici: 40 ms of CPU.
const { createServer } = process.getBuiltinModule('node:http');

const CONTENT_SECURITY =
  "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:";
const NO_UPGRADE = 'No WebSocket UPGRADE hdr: None\n Can "Upgrade" only to "WebSocket".';

/** The HTTP face of an engine: each call of the result makes one more server with it, not yet bound. */
export function createComfyServer(engine: Engine, processFaults: ProcessFaults): () => Server {
  const router = new Router([
    ...promptRoutes(engine),
    ...historyRoutes(engine),
    ...jobRoutes(engine),
    ...viewRoutes(engine),
    ...uploadRoutes(engine),
    ...infoRoutes(engine),
    ...internalRoutes(engine),
    ...comfySimRoutes(engine, processFaults),
    { method: 'GET', path: '/ws', twin: true, handle: () => plain(400, NO_UPGRADE) },
  ]);
  const common: Record<string, string> = {
    Server: 'Python/3.12 aiohttp/3.14.0',
    ...(!engine.options.apiNodes && { 'Content-Security-Policy': CONTENT_SECURITY }),
    ...(engine.options.cors !== undefined && {
      'Access-Control-Allow-Origin': engine.options.cors,
      'Access-Control-Allow-Credentials': 'true',
    }),
  };
  const respond = async (raw: IncomingMessage, response: ServerResponse) => {
    const reply = await answer(engine, router, raw);
    const { httpMs = 0 } = engine.faults.current.slow ?? {};
    if (httpMs > 0 && !raw.url?.startsWith('/sim/')) await setTimeout(httpMs);
    send(response, { ...reply, headers: { ...common, ...reply.headers } }, raw.method === 'HEAD');
  };
  return () => {
    const server = createServer((raw, response) => void respond(raw, response).catch(() => response.destroy()));
    acceptSockets(server, engine);
    return server;
  };
}

async function answer(engine: Engine, router: Router, raw: IncomingMessage): Promise<Reply> {
  const [path, query] = splitUrl(raw.url ?? '/');
  if (engine.options.cors === undefined && isForeign(raw.headers)) return empty(403);
  if (raw.method === 'OPTIONS' && engine.options.cors !== undefined) return empty();
  const body = () => readBody(raw, engine.options.maxUploadBytes);
  const found = router.find(raw.method ?? 'GET', path);
  try {
    if ('handle' in found) {
      const reply = await found.handle({
        query,
        params: found.params,
        raw,
        body,
        json: async () => JSON.parse((await body()).toString()) as unknown,
      });
      return spoil(engine, path, reply);
    }
    return found.status === 404 ? await webPage(engine, path) : found;
  } catch (error) {
    if (error instanceof TooLarge) return plain(413, '413: Request Entity Too Large', { Connection: 'close' });
    if (!(error instanceof SyntaxError)) engine.log.error(`Error handling request: ${(error as Error).stack}`);
    return brokenRequest();
  }
}

function splitUrl(url: string): [string, URLSearchParams] {
  const at = url.indexOf('?');
  const path = at < 0 ? url : url.slice(0, at);
  try {
    return [decodeURIComponent(path), new URLSearchParams(at < 0 ? '' : url.slice(at + 1))];
  } catch {
    return [path, new URLSearchParams()];
  }
}

function spoil({ faults }: Engine, path: string, reply: Reply): Reply {
  const fault = faults.current.garbageJson;
  if (fault === undefined || path.startsWith('/sim/') || typeof reply.body !== 'string') return reply;
  const starts = fault.paths?.flatMap((start) => [start, `/api${start}`]);
  if (starts !== undefined && !starts.some((start) => path.startsWith(start))) return reply;
  if (faults.strike('garbageJson') === undefined) return reply;
  return { ...reply, status: 200, body: `${reply.body.slice(0, reply.body.length >> 1)}\u0000<html>` };
}

/** aiohttp's answer to an exception in a handler. */
const brokenRequest = (): Reply =>
  plain(500, '500 Internal Server Error\n\nServer got itself in trouble', { Connection: 'close' });
