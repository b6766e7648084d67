import { writeFile } from 'node:fs/promises';
import { countTokens, embeddingOf } from './answer.ts';
import { ApiError } from './api-error.ts';
import { chat, collapse, generate, nanoseconds, withoutZeros } from './completion.ts';
import { create } from './create.ts';
import { processOf, showOf, tagOf } from './describe.ts';
import type { Engine } from './engine.ts';
import {
  chatSchema,
  copySchema,
  createSchema,
  type EmbedRequest,
  embedSchema,
  generateSchema,
  modelSchema,
  readKeepAlive,
  readRequest,
} from './requests.ts';
import { sha256 } from './store.ts';

type Line = Record<string, unknown>;

/** Text is sent as it is, an object as JSON, lines as NDJSON, undefined as an empty body. */
export interface Reply {
  readonly status?: number;
  readonly body?: string | Line;
  readonly lines?: AsyncGenerator<Line>;
}

export interface Call {
  readonly param: string;
  /** Fires when the client has gone. */
  readonly signal: AbortSignal;
  raw(): Promise<Buffer>;
  /** Undefined without a body. */
  json(): Promise<unknown>;
}

export type Route = (call: Call) => Reply | Promise<Reply>;

const defaultDimensions = 32;

/** By `METHOD /path`; a path that ends with `:` has one parameter. */
export function routesOf(engine: Engine): ReadonlyMap<string, Route> {
  const { store, environment, simulation, scheduler, puller } = engine;
  const running = () => ({ body: 'Ollama is running' });
  const version = () => ({ body: { version: simulation.version } });
  const tags = () => ({ body: { models: store.list().map(tagOf) } });
  const named = async (call: Call) => {
    const request = readRequest(modelSchema, await call.json());
    const name = request.model || request.name;
    if (!name) throw new ApiError(400, 'model is required');
    return { name, stream: request.stream };
  };
  const routes: Record<string, Route> = {
    'GET /': running,
    'GET /api/version': version,
    'GET /api/tags': tags,
    'GET /api/ps': () => ({ body: { models: scheduler.loaded.map((each) => processOf(each, environment)) } }),
    'POST /api/show': async (call) => ({ body: showOf(store.get((await named(call)).name)) }),
    'POST /api/generate': async (call) => {
      const request = readRequest(generateSchema, await call.json());
      return streamed(generate(engine, request, call.signal), request.stream);
    },
    'POST /api/chat': async (call) => {
      const request = readRequest(chatSchema, await call.json());
      return streamed(chat(engine, request, call.signal), request.stream);
    },
    'POST /api/embed': async (call) => {
      const request = readRequest(embedSchema, await call.json());
      const texts = textsOf(request.input);
      const { vectors, loadMs, totalMs, tokens } = await embed(engine, request, texts, call.signal);
      const numbers = {
        total_duration: nanoseconds(totalMs),
        load_duration: nanoseconds(loadMs),
        prompt_eval_count: tokens,
      };
      return { body: { model: request.model, embeddings: vectors, ...withoutZeros(numbers) } };
    },
    'POST /api/embeddings': async (call) => {
      const request = readRequest(embedSchema, await call.json());
      const { vectors } = await embed(engine, request, [request.prompt ?? ''], call.signal);
      return { body: { embedding: vectors[0] ?? [] } };
    },
    'POST /api/pull': async (call) => {
      const { name, stream } = await named(call);
      return streamed(puller.pull(name, call.signal), stream);
    },
    'POST /api/create': async (call) => {
      const request = readRequest(createSchema, await call.json());
      return streamed(create(engine, request), request.stream);
    },
    'POST /api/copy': async (call) => {
      const { source, destination } = readRequest(copySchema, await call.json());
      try {
        store.write(destination, store.get(source).manifest);
      } catch (error) {
        throw error instanceof ApiError && error.status === 404
          ? new ApiError(404, `model "${source}" not found`)
          : error;
      }
      return {};
    },
    'DELETE /api/delete': async (call) => {
      const { name } = await named(call);
      const { name: full } = store.get(name);
      scheduler.unload(full);
      store.delete(name);
      return {};
    },
    'HEAD /api/blobs/:': ({ param }) => ({ status: store.hasBlob(param) ? 200 : 404 }),
    'POST /api/blobs/:': async ({ param, raw }) => {
      if (!/^sha256[:-][0-9a-f]{64}$/.test(param)) throw new ApiError(400, 'invalid digest format');
      if (store.hasBlob(param)) return { status: 200 };
      const content = await raw();
      const digest = `sha256:${sha256(content)}`;
      if (digest !== param.replace('-', ':'))
        throw new ApiError(400, `digest mismatch, expected "${param}", got "${digest}"`);
      await writeFile(store.blobPath(digest), content);
      return { status: 201 };
    },
  };
  for (const path of ['/', '/api/version', '/api/tags']) routes[`HEAD ${path}`] = routes[`GET ${path}`] as Route;
  return new Map(Object.entries(routes));
}

async function streamed(lines: AsyncGenerator<Line>, stream = true): Promise<Reply> {
  if (stream) return { lines };
  const all: Line[] = [];
  for await (const line of lines) all.push(line);
  return { body: collapse(all) };
}

function textsOf(input: unknown): string[] {
  if (input === undefined || input === null) return [];
  const texts = Array.isArray(input) ? input : [input];
  if (texts.every((each) => typeof each === 'string')) return texts;
  throw new ApiError(400, 'invalid input type');
}

async function embed(engine: Engine, request: EmbedRequest, texts: readonly string[], signal: AbortSignal) {
  const begun = performance.now();
  engine.modelOf(request.model);
  const keepAliveMs = readKeepAlive(request.keep_alive, engine.environment.keepAliveMs);
  using slot = await engine.load(request, keepAliveMs, signal);
  await engine.faults.strikeToken(request, 1, signal);
  const vectors = texts.map((text) => embeddingOf(text, request.dimensions ?? defaultDimensions));
  const tokens = texts.reduce((sum, text) => sum + countTokens(text), 0);
  return { vectors, tokens, loadMs: slot.loadMs, totalMs: performance.now() - begun };
}
