import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import { readBody } from '../http.ts';
import { ApiError } from './api-error.ts';
import type { Engine } from './engine.ts';
import { ConnectionCut } from './pull.ts';
import { type Call, type Reply, type Route, routesOf } from './routes.ts';
import { simRoutesOf } from './sim-routes.ts';

// An `import` of node:http reads all its exports, among them the getter of WebSocket, which loads undici: 40 ms of CPU.
const { createServer } = process.getBuiltinModule('node:http');

const maxBodyBytes = 256 * 1024 * 1024;
const json = 'application/json; charset=utf-8';

/** The HTTP face of an engine, as gin gives it. `ready` is when it begins to answer; until then connections wait. */
export function createOllamaServer(engine: Engine, ready: Promise<void>): Server {
  const routes = new Map([...routesOf(engine), ...simRoutesOf(engine)]);
  const respond = async (request: IncomingMessage, response: ServerResponse) => {
    await ready;
    const { httpMs = 0 } = engine.faults.current.slow ?? {};
    const path = pathOf(request);
    if (httpMs > 0 && !path.startsWith('/sim/')) await setTimeout(httpMs);
    const begun = performance.now();
    await answer(engine, routes, request, response);
    log(request, response.statusCode, performance.now() - begun);
  };
  return createServer((request, response) => void respond(request, response).catch(() => response.destroy()));
}

const pathOf = ({ url = '/' }: IncomingMessage) => decodeURIComponent(url.replace(/\?.*$/s, ''));

async function answer(
  engine: Engine,
  routes: ReadonlyMap<string, Route>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = pathOf(request);
  const isRefused = path.startsWith('/sim/') ? !isLocal(request) : isForeign(engine, request);
  if (isRefused) return void response.writeHead(403).end();
  const gone = new AbortController();
  response.on('close', () => gone.abort(new DOMException('the client has gone', 'AbortError')));
  const { route, param } = find(routes, request.method ?? 'GET', path);
  if (typeof route === 'number')
    return text(response, route, route === 405 ? '405 method not allowed' : '404 page not found');
  const raw = () => readBody(request, maxBodyBytes);
  const call: Call = { param, signal: gone.signal, raw, json: async () => readJson((await raw()).toString()) };
  const isSpoilt = spoils(engine, path);
  try {
    const reply = await route(call);
    if (reply.lines) await stream(reply.lines, response, isSpoilt);
    else send(reply, request, response, isSpoilt);
  } catch (error) {
    if (error instanceof ConnectionCut || gone.signal.aborted) return void response.destroy();
    if (!(error instanceof ApiError)) process.stderr.write(`${(error as Error).stack}\n`);
    const status = error instanceof ApiError ? error.status : 500;
    response.writeHead(status, { 'Content-Type': json }).end(JSON.stringify({ error: (error as Error).message }));
  }
}

/** What fails before the first line has its own status; after it, it is the last line. */
async function stream(
  lines: AsyncGenerator<Record<string, unknown>>,
  response: ServerResponse,
  isSpoilt: boolean,
): Promise<void> {
  let hasBegun = false;
  try {
    for await (const line of lines) {
      if (!hasBegun) response.writeHead(200, { 'Content-Type': 'application/x-ndjson' });
      hasBegun = true;
      const whole = JSON.stringify(line);
      response.write(`${isSpoilt ? whole.slice(0, whole.length >> 1) : whole}\n`);
    }
  } catch (error) {
    if (!hasBegun || !(error instanceof ApiError)) throw error;
    response.write(`${JSON.stringify({ error: error.message })}\n`);
  }
  response.end();
}

function send(reply: Reply, request: IncomingMessage, response: ServerResponse, isSpoilt: boolean): void {
  const { status = 200, body } = reply;
  if (body === undefined) return void response.writeHead(status).end();
  if (typeof body === 'string') return void text(response, status, body);
  const whole = JSON.stringify(body);
  response.writeHead(status, { 'Content-Type': json });
  response.end(
    request.method === 'HEAD' ? undefined : isSpoilt ? `${whole.slice(0, whole.length >> 1)}\0<html>` : whole,
  );
}

function text(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' }).end(body);
}

function find(
  routes: ReadonlyMap<string, Route>,
  method: string,
  path: string,
): { route: Route | number; param: string } {
  const cut = path.lastIndexOf('/') + 1;
  for (const [pattern, param] of [
    [path, ''],
    [`${path.slice(0, cut)}:`, path.slice(cut)],
  ] as const) {
    const route = routes.get(`${method} ${pattern}`);
    if (route) return { route, param };
    const isKnown = [...routes.keys()].some((each) => each.endsWith(` ${pattern}`));
    if (isKnown) return { route: 405, param: '' };
  }
  return { route: 404, param: '' };
}

function readJson(body: string): unknown {
  if (body === '') return undefined;
  try {
    return JSON.parse(body);
  } catch (error) {
    throw new ApiError(400, (error as Error).message);
  }
}

/** The switches of the simulator are for this machine alone. */
const isLocal = ({ socket: { remoteAddress = '' } }: IncomingMessage) =>
  remoteAddress === '::1' || /^(::ffff:)?127\./.test(remoteAddress);

/** The guard against DNS rebinding: on the loopback interface only names of this machine are answered. */
function isForeign({ environment }: Engine, { headers }: IncomingMessage): boolean {
  if (!/^(127\.|::1$|localhost$)/.test(environment.host)) return false;
  const name = (headers.host ?? '').toLowerCase().replace(/:\d+$/, '');
  if (name === '' || /^(\[.*\]|[\d.]+|localhost)$/.test(name)) return false;
  return !/\.(local|internal|localhost)$/.test(name);
}

function spoils({ faults }: Engine, path: string): boolean {
  const fault = faults.current.garbageJson;
  if (fault === undefined || path.startsWith('/sim/')) return false;
  if (fault.paths !== undefined && !fault.paths.some((start) => path.startsWith(start))) return false;
  return faults.strike('garbageJson') !== undefined;
}

/** As gin logs each call. */
function log({ method, url, socket }: IncomingMessage, status: number, ms: number): void {
  if (url?.startsWith('/sim/')) return;
  const at = new Date().toISOString().slice(0, 19).replaceAll('-', '/').replace('T', ' - ');
  const who = socket.remoteAddress ?? '';
  process.stderr.write(`[GIN] ${at} | ${status} | ${ms.toFixed(6)}ms | ${who.padStart(15)} | ${method} "${url}"\n`);
}
