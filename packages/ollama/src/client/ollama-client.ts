import { createHash } from 'node:crypto';
import { type HttpRequest, type HttpTarget, type HttpTransport, parseJson } from '@mgpu/core/http-client';
import type { z } from 'zod';
import { OllamaUnreachableError } from '../errors.ts';
import * as answers from './answers.ts';
import { type Asked, pullFailure, spokenFailure, statusFailure } from './failure.ts';
import { linesOf } from './lines.ts';
import { transportTo } from './transport.ts';
import type {
  ChatPart,
  ChatRequest,
  CreateRequest,
  Embeddings,
  EmbedRequest,
  GeneratePart,
  GenerateRequest,
  Model,
  ModelInfo,
  Progress,
  RunningModel,
} from './types.ts';

export interface Abortable {
  readonly signal?: AbortSignal | undefined;
}

/** Loading a large model from a slow disk takes minutes, and so does checking one that was pulled. */
const workSilenceMs = 1_800_000;

/**
 * Ollama's own HTTP API, typed; needs nothing else of mgpu. Requests, parts and answers have Ollama's names. Every call takes a
 * signal and fails with `OLLAMA_UNREACHABLE`, `OLLAMA_BAD_ANSWER` or `OLLAMA_REFUSED`; those that name a model with
 * `OLLAMA_MODEL_MISSING`; those that need it in memory with `OLLAMA_BUSY`, `OLLAMA_FAILED`, `OLLAMA_OUT_OF_MEMORY` and
 * `OLLAMA_ENGINE_FAULT` as well. A stream that is left, or whose signal fires, stops the work in the server. Connections are kept;
 * `close()` ends them.
 */
export class OllamaClient implements AsyncDisposable {
  /** Ends with a slash. */
  readonly url: URL;
  readonly #transport: HttpTransport;

  constructor(target: HttpTarget) {
    this.#transport = transportTo(target);
    this.url = this.#transport.base;
  }

  /** The server's version: the cheapest question there is. */
  async version({ signal }: Abortable = {}): Promise<string> {
    return (await this.#ask('GET', 'api/version', answers.versionSchema, { signal })).version;
  }

  /** Models on disk, the newest first. */
  async list({ signal }: Abortable = {}): Promise<readonly Model[]> {
    return (await this.#ask('GET', 'api/tags', answers.tagsSchema, { signal })).models;
  }

  /** Models in memory, the one that stays longest first. */
  async ps({ signal }: Abortable = {}): Promise<readonly RunningModel[]> {
    return (await this.#ask('GET', 'api/ps', answers.psSchema, { signal })).models;
  }

  show(model: string, { signal }: Abortable = {}): Promise<ModelInfo> {
    return this.#ask('POST', 'api/show', answers.showSchema, { signal, json: { model } });
  }

  /** Removes it from the disk. */
  async delete(model: string, { signal }: Abortable = {}): Promise<void> {
    await this.#do('DELETE', 'api/delete', { signal, json: { model } });
  }

  async copy(source: string, destination: string, { signal }: Abortable = {}): Promise<void> {
    await this.#do('POST', 'api/copy', { signal, json: { source, destination } }, source);
  }

  /**
   * Brings a model from the registry. It is there when this ends; a pull that is interrupted is gone on with by the next one.
   * Fails with `OLLAMA_PULL_FAILED` and `OLLAMA_MODEL_UNKNOWN`, too.
   */
  pull(model: string, { signal }: Abortable = {}): AsyncGenerator<Progress, void> {
    return this.#untilSuccess('api/pull', { model }, signal, (text) => pullFailure(model, text));
  }

  /** Makes a model of another one, or of uploaded files. */
  create(request: CreateRequest, { signal }: Abortable = {}): AsyncGenerator<Progress, void> {
    return this.#untilSuccess('api/create', request, signal);
  }

  /** Stores a file for `create`, and returns its digest. Nothing is sent of one that is there. */
  async upload(content: Uint8Array, { signal }: Abortable = {}): Promise<string> {
    const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`;
    const path = `api/blobs/${digest}`;
    const { status } = await this.#transport.request('HEAD', path, { signal });
    if (status !== 200) await this.#do('POST', path, { signal, bytes: content, silenceMs: workSilenceMs });
    return digest;
  }

  /** An answer to a prompt, piece by piece. */
  generate(request: GenerateRequest, { signal }: Abortable = {}): AsyncGenerator<GeneratePart, void> {
    return this.#untilDone('api/generate', request, answers.generatePartSchema, signal);
  }

  /** The next message of a conversation, piece by piece. */
  chat(request: ChatRequest, { signal }: Abortable = {}): AsyncGenerator<ChatPart, void> {
    return this.#untilDone('api/chat', request, answers.chatPartSchema, signal);
  }

  embed(request: EmbedRequest, { signal }: Abortable = {}): Promise<Embeddings> {
    const options = { signal, json: request, silenceMs: workSilenceMs };
    return this.#ask('POST', 'api/embed', answers.embeddingsSchema, options);
  }

  /** Loads a model into memory, where it stays for `keepAlive` (as `keep_alive`) or as the server is set. */
  async load(model: string, options: Abortable & { readonly keepAlive?: number | string } = {}): Promise<void> {
    const { keepAlive, signal } = options;
    for await (const _ of this.generate({ model, keep_alive: keepAlive }, { signal })) {
      // There is one part, when it is loaded.
    }
  }

  /** Takes a model out of memory once nobody uses it; nothing when it is not there. */
  unload(model: string, { signal }: Abortable = {}): Promise<void> {
    return this.load(model, { keepAlive: 0, signal });
  }

  /** Ends all connections. */
  close(): Promise<void> {
    return this.#transport.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #ask<T>(method: Method, path: string, schema: z.ZodType<T>, options: HttpRequest): Promise<T> {
    const body = await this.#do(method, path, options);
    return answers.readAnswer(schema, body, this.#transport.url(path).href);
  }

  async #do(method: Method, path: string, options: HttpRequest, model = modelOf(options.json)): Promise<string> {
    const { status, body } = await this.#transport.request(method, path, options);
    if (status >= 200 && status < 300) return body;
    throw statusFailure(this.#asked(method, path, model), status, saidIn(body));
  }

  async *#untilDone<T extends { readonly done: boolean }>(
    path: string,
    request: { readonly model: string },
    schema: z.ZodType<T>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<T, void> {
    for await (const value of this.#lines(path, request, signal)) {
      const part = answers.readPart(schema, value, this.#transport.url(path).href);
      yield part;
      if (part.done) return;
    }
    throw this.#cut();
  }

  async *#untilSuccess(
    path: string,
    request: { readonly model: string },
    signal: AbortSignal | undefined,
    failure?: (text: string) => Error,
  ): AsyncGenerator<Progress, void> {
    for await (const value of this.#lines(path, request, signal, failure)) {
      const progress = answers.readPart(answers.progressSchema, value, this.#transport.url(path).href);
      yield progress;
      if (progress.status === 'success') return;
    }
    throw this.#cut();
  }

  /** The lines of a stream as JSON; one that tells an error is thrown. */
  async *#lines(
    path: string,
    request: { readonly model: string },
    signal: AbortSignal | undefined,
    failure?: (text: string) => Error,
  ): AsyncGenerator<unknown, void> {
    const asked = this.#asked('POST', path, request.model);
    const json = { ...request, stream: true };
    const { status, body } = await this.#transport.stream('POST', path, { json, signal, silenceMs: workSilenceMs });
    const lines = linesOf(body, asked.url);
    if (status !== 200) {
      const text = saidIn(await firstOf(lines));
      throw failure && status >= 500 && text !== undefined ? failure(text) : statusFailure(asked, status, text);
    }
    for await (const line of lines) {
      const value = answers.readAnswer(answers.anythingSchema, line, asked.url);
      const error = answers.errorIn(value);
      if (error !== undefined) throw failure?.(error) ?? spokenFailure(asked, error);
      yield value;
    }
  }

  #cut(): Error {
    return new OllamaUnreachableError({ url: this.url.href, problem: 'it broke off in its answer', heard: true });
  }

  #asked(method: Method, path: string, model: string | undefined): Asked {
    return { request: `${method} /${path}`, url: this.#transport.url(path).href, model };
  }
}

type Method = 'GET' | 'POST' | 'DELETE' | 'HEAD';

const modelOf = (json: unknown) => {
  const { model } = (json ?? {}) as { model?: unknown };
  return typeof model === 'string' ? model : undefined;
};

/** What a refusal says; undefined when it is not Ollama's. */
const saidIn = (body: string): string | undefined => answers.errorIn(parseJson(body));

async function firstOf(lines: AsyncIterable<string>): Promise<string> {
  for await (const line of lines) return line;
  return '';
}
