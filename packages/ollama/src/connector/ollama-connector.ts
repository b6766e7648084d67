import {
  type Clock,
  type Connector,
  type ConnectorFactoryOptions,
  type ConnectorIo,
  type ConnectorJob,
  type ConnectorResult,
  type Endpoint,
  type Logger,
  systemClock,
} from '@mgpu/core/jobs';
import { OllamaClient } from '../client/ollama-client.ts';
import {
  OllamaBadAnswerError,
  OllamaBusyError,
  OllamaEngineLostError,
  OllamaJobKillsEngineError,
  OllamaUnreachableError,
} from '../errors.ts';
import { Answer } from './answer.ts';
import { readCheckpoint } from './checkpoint.ts';
import { readJobInput } from './job-input.ts';
import { type Request, requestOf } from './requests.ts';
import { type ConnectorSettings, defaultSettings } from './settings.ts';

const maxOutputChars = 64 * 1024;
const pauseMs = { first: 50, most: 1_000, busy: 250 };

/**
 * Takes jobs of type `ollama` to one server. A server knows a request by its connection alone: closing that cancels it, and what
 * was interrupted is done again from its beginning.
 */
export class OllamaConnector implements Connector {
  readonly #endpoint: Endpoint;
  readonly #log: Logger;
  readonly #clock: Clock = systemClock;
  readonly #settings: ConnectorSettings;
  readonly #client: OllamaClient;

  constructor({ endpoint, log }: ConnectorFactoryOptions, settings: Partial<ConnectorSettings> = {}) {
    this.#endpoint = endpoint;
    this.#log = log;
    this.#settings = { ...defaultSettings, ...settings };
    this.#client = new OllamaClient(endpoint);
  }

  async ready(signal: AbortSignal): Promise<void> {
    await this.#untilThere(signal, Number.POSITIVE_INFINITY);
  }

  async run(job: ConnectorJob, io: ConnectorIo): Promise<ConnectorResult> {
    const request = await requestOf(readJobInput(job.input), this.#endpoint.local?.defaultModel);
    let { deaths } = readCheckpoint(job.resumed);
    for (let busy = 0; ; ) {
      try {
        return request.kind === 'embed' ? await this.#embed(request, io) : await this.#complete(request, io);
      } catch (error) {
        io.signal.throwIfAborted();
        if (error instanceof OllamaBusyError && ++busy < this.#settings.maxBusy) {
          await this.#clock.sleep(pauseMs.busy * busy, { signal: io.signal });
          continue;
        }
        if (!(error instanceof OllamaUnreachableError)) throw error;
        if (error.details.heard) {
          deaths++;
          await io.checkpoint({ v: 1, deaths });
        }
        await this.#comesBack(error, deaths, io);
      }
    }
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  /** Throws when the job should not be tried again here. */
  async #comesBack(error: InstanceType<typeof OllamaUnreachableError>, deaths: number, io: ConnectorIo): Promise<void> {
    const engine = this.#endpoint.instance;
    const { maxDeaths, goneMs } = this.#settings;
    if (deaths >= maxDeaths) throw new OllamaJobKillsEngineError({ engine, deaths }, { cause: error });
    io.log.info(`${error.message}; the job is done again when ${engine} is there`);
    const waitedMs = await this.#untilThere(io.signal, goneMs);
    if (waitedMs === undefined) return;
    const fault = error.details.heard ? 'engine-fault' : 'retryable';
    throw new OllamaEngineLostError({ engine, waitedMs, fault }, { cause: error });
  }

  /** Undefined once it answers; else how long was waited for it, in milliseconds. */
  async #untilThere(signal: AbortSignal, patienceMs: number): Promise<number | undefined> {
    const since = this.#clock.elapsed();
    for (let pause = pauseMs.first; ; pause = Math.min(pause * 2, pauseMs.most)) {
      try {
        await this.#client.version({ signal });
        return undefined;
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof OllamaUnreachableError || error instanceof OllamaBadAnswerError)) throw error;
        if (pause === pauseMs.first) this.#log.info(`waiting for ${this.#endpoint.instance}: ${error.message}`);
      }
      const waitedMs = this.#clock.elapsed() - since;
      if (waitedMs > patienceMs) return waitedMs;
      await this.#clock.sleep(pause, { signal });
    }
  }

  async #complete(request: Exclude<Request, { kind: 'embed' }>, io: ConnectorIo): Promise<ConnectorResult> {
    const { body } = request;
    const limit = body.options?.num_predict;
    const answer = new Answer({
      io,
      now: () => this.#clock.elapsed(),
      previewMs: this.#settings.previewMs,
      limit: typeof limit === 'number' ? limit : undefined,
    });
    const { signal } = io;
    io.progress({ percent: 0, node: 'loading' });
    const parts =
      request.kind === 'chat'
        ? this.#client.chat(request.body, { signal })
        : this.#client.generate(request.body, { signal });
    for await (const part of parts) answer.see(part);

    const { text, thinking, toolCalls, end } = answer;
    const isJson = body.format !== undefined;
    const store = (name: string, mediaType: string, content: string) =>
      io.store({ name, mediaType, origin: { part: name.replace(/\..*/, '') }, source: { stream: streamOf(content) } });
    // A call of tools is an answer without text.
    if (text !== '' || toolCalls.length === 0)
      await store(isJson ? 'answer.json' : 'answer.txt', isJson ? 'application/json' : textType, text);
    if (thinking !== '') await store('thinking.txt', textType, thinking);
    if (toolCalls.length > 0) await store('tool_calls.json', 'application/json', JSON.stringify(toolCalls));
    const { done_reason, ...metrics } = end;
    return {
      output: {
        model: body.model,
        ...(done_reason === undefined ? {} : { doneReason: done_reason }),
        ...(text !== '' && text.length <= maxOutputChars ? { text } : {}),
        metrics,
      },
    };
  }

  async #embed({ body }: Extract<Request, { kind: 'embed' }>, io: ConnectorIo): Promise<ConnectorResult> {
    io.progress({ percent: 0, node: 'embedding' });
    const { model, embeddings, ...metrics } = await this.#client.embed(body, { signal: io.signal });
    io.progress({ percent: 100 });
    const content = JSON.stringify(embeddings);
    const origin = { part: 'embeddings' };
    await io.store({
      name: 'embeddings.json',
      mediaType: 'application/json',
      origin,
      source: { stream: streamOf(content) },
    });
    return { output: { model, count: embeddings.length, dimensions: embeddings[0]?.length ?? 0, metrics } };
  }
}

const textType = 'text/plain; charset=utf-8';

async function* streamOf(content: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(content);
}
