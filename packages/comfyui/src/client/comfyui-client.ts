import { randomUUID } from 'node:crypto';
import { ComfyUIBadAnswerError, ComfyUIFileMissingError, ComfyUIRefusedError } from '../errors.ts';
import * as answers from './answers.ts';
import { EventStream } from './event-stream.ts';
import { promptRefusal } from './prompt-refusal.ts';
import { readEvent } from './read-event.ts';
import { type Answer, type RequestOptions, Transport } from './transport.ts';
import type { EngineEvent, EngineFile, HistoryEntry, PromptGraph, Queue, Submission, SystemStats } from './types.ts';

export interface Abortable {
  readonly signal?: AbortSignal | undefined;
}

export interface SubmitOptions extends Abortable {
  /** Lower-case UUID (version 0.3.45 and later). Default: a new one. */
  readonly promptId?: string;
  /** Whose websocket gets the events. */
  readonly clientId?: string;
  /** Before everything that waits. */
  readonly front?: boolean;
  /** E.g. `{ extra_pnginfo: { workflow } }`, kept in PNG files. */
  readonly extraData?: Readonly<Record<string, unknown>>;
}

export interface UploadOptions extends Abortable {
  readonly subfolder?: string;
  /** Default: another file of that name stays, and the new one gets another name. */
  readonly overwrite?: boolean;
}

export interface ConnectHandlers {
  onEvent(event: EngineEvent): void;
  /** A frame that could not be understood: what it said is missing. */
  onGarbage?(): void;
  /** The connection ended, and not by `close()`. */
  onClose(problem: string): void;
}

/** An open websocket. */
export interface EventConnection {
  readonly clientId: string;
  close(): void;
}

/** Validation of a workflow may wait behind a node that holds Python's lock. */
const submitTimeoutMs = 300_000;

/**
 * ComfyUI's HTTP and websocket protocol, typed; needs nothing else of mgpu. Every call takes a signal and fails with
 * `COMFYUI_UNREACHABLE`, `COMFYUI_BAD_ANSWER` or `COMFYUI_REFUSED`. Connections are kept; `close()` ends them.
 */
export class ComfyUIClient implements AsyncDisposable {
  readonly url: URL;
  readonly #transport: Transport;

  constructor(target: string | URL | { readonly url: string | URL }) {
    const url = typeof target === 'string' || target instanceof URL ? target : target.url;
    this.url = new URL(url);
    this.#transport = new Transport(this.url);
  }

  /** Puts a workflow into the queue. `COMFYUI_PROMPT_INVALID` when the engine does not accept it. */
  async submit(prompt: PromptGraph, options: SubmitOptions = {}): Promise<Submission> {
    const { promptId = randomUUID(), clientId, front, extraData, signal } = options;
    const json = {
      prompt,
      prompt_id: promptId,
      ...(clientId === undefined ? {} : { client_id: clientId }),
      ...(front === undefined ? {} : { front }),
      ...(extraData === undefined ? {} : { extra_data: extraData }),
    };
    const answer = await this.#transport.request('POST', 'prompt', { json, signal, timeoutMs: submitTimeoutMs });
    if (answer.status === 400) {
      const refusal = promptRefusal(answer.body, prompt);
      if (refusal) throw refusal;
    }
    const { prompt_id, number, node_errors = {} } = this.#read(answers.submissionSchema, answer, 'POST prompt');
    return { promptId: prompt_id, number, nodeErrors: node_errors };
  }

  /** What became of a prompt; undefined while it waits or runs, and when it is not known. */
  async history(promptId: string, { signal }: Abortable = {}): Promise<HistoryEntry | undefined> {
    const all = await this.#get(answers.historySchema, `history/${encodeURIComponent(promptId)}`, signal);
    const entry = all[promptId];
    if (!entry) return undefined;
    // Versions of 2023 have no status; they remember only what went well.
    return { outputs: entry.outputs, status: entry.status ?? { status_str: 'success', completed: true, messages: [] } };
  }

  async queue({ signal }: Abortable = {}): Promise<Queue> {
    const { queue_running, queue_pending } = await this.#get(answers.queueSchema, 'queue', signal);
    const entries = (items: typeof queue_pending) => items.map(([number, promptId]) => ({ number, promptId }));
    return { running: entries(queue_running), pending: entries(queue_pending).toSorted((a, b) => a.number - b.number) };
  }

  /** How many prompts wait or run; the cheapest question there is. */
  async queueLength({ signal }: Abortable = {}): Promise<number> {
    return (await this.#get(answers.execInfoSchema, 'prompt', signal)).exec_info.queue_remaining;
  }

  /**
   * Interrupts a prompt if it is running; it ends at its next node or step. Versions before 0.3.57 do not look at the id
   * and interrupt whatever runs; without an id every version does.
   */
  interrupt(promptId?: string, { signal }: Abortable = {}): Promise<void> {
    return this.#post('interrupt', promptId === undefined ? {} : { prompt_id: promptId }, signal);
  }

  /** Takes prompts that wait out of the queue; one that runs is not touched. */
  deletePending(promptIds: readonly string[], { signal }: Abortable = {}): Promise<void> {
    return this.#post('queue', { delete: promptIds }, signal);
  }

  /** Frees memory after the prompt that runs. Default: unloads the models and drops the cached results. */
  free(options: { unloadModels?: boolean; freeMemory?: boolean } & Abortable = {}): Promise<void> {
    const { unloadModels = true, freeMemory = true, signal } = options;
    return this.#post('free', { unload_models: unloadModels, free_memory: freeMemory }, signal);
  }

  /** Stores a file among the inputs, for `LoadImage` and the like. The answer has the name it got. */
  async upload(name: string, bytes: Uint8Array, options: UploadOptions = {}): Promise<EngineFile> {
    const { subfolder, overwrite = false, signal } = options;
    const form = {
      ...(subfolder === undefined ? {} : { subfolder }),
      overwrite: String(overwrite),
      image: { name, bytes },
    };
    const answer = await this.#transport.request('POST', 'upload/image', { form, signal });
    const stored = this.#read(answers.uploadSchema, answer, `the upload of ${name}`);
    return { filename: stored.name, subfolder: stored.subfolder, type: 'input' };
  }

  /** A file's content, to be read to its end. `COMFYUI_FILE_MISSING` when there is none. */
  async view(
    file: EngineFile,
    { signal }: Abortable = {},
  ): Promise<{ readonly mediaType: string | undefined; readonly body: AsyncIterable<Uint8Array> }> {
    const query = new URLSearchParams({ filename: file.filename, subfolder: file.subfolder, type: file.type });
    const { status, mediaType, body } = await this.#transport.stream(`view?${query}`, { signal });
    if (status === 200) return { mediaType, body };
    for await (const _ of body) break; // leaves the connection clean
    const name = [file.type, file.subfolder, file.filename].filter(Boolean).join('/');
    if (status === 404) throw new ComfyUIFileMissingError({ file: name, url: this.url.href });
    throw new ComfyUIRefusedError({ request: `to show ${name}`, status, answer: '' });
  }

  /** Node classes with their inputs and outputs: all (over a megabyte), or one. */
  objectInfo(nodeClass?: string, { signal }: Abortable = {}): Promise<Readonly<Record<string, unknown>>> {
    const path = nodeClass === undefined ? 'object_info' : `object_info/${encodeURIComponent(nodeClass)}`;
    return this.#get(answers.recordSchema, path, signal);
  }

  systemStats({ signal }: Abortable = {}): Promise<SystemStats> {
    return this.#get(answers.statsSchema, 'system_stats', signal);
  }

  /** What the server can do, e.g. `{ supports_preview_metadata: true }`. Since 0.3.44. */
  features({ signal }: Abortable = {}): Promise<Readonly<Record<string, unknown>>> {
    return this.#get(answers.recordSchema, 'features', signal);
  }

  /**
   * Opens a websocket. Take a new client id each time: the engine forgets a connection when an older one of the same id
   * ends. Events are not repeated, so ask `history` and `queue` after a gap.
   */
  async connect(
    clientId: string,
    handlers: ConnectHandlers,
    { signal }: { signal: AbortSignal },
  ): Promise<EventConnection> {
    const socket = await this.#transport.socket(
      `ws?clientId=${encodeURIComponent(clientId)}`,
      {
        onMessage: (frame) => {
          const event = readEvent(frame);
          if (event) handlers.onEvent(event);
          else handlers.onGarbage?.();
        },
        onClose: handlers.onClose,
      },
      { signal },
    );
    // Only a first frame may say this; it makes previews carry the id of their prompt.
    socket.send('{"type":"feature_flags","data":{"supports_preview_metadata":true}}');
    return { clientId, close: socket.close };
  }

  /**
   * The events of one client id; resolves when the websocket is open, so that nothing of what is submitted then is missed.
   * Ends when the signal fires; a lost connection throws `COMFYUI_UNREACHABLE`.
   */
  async events(clientId: string, { signal }: Abortable = {}): Promise<EventStream> {
    const stream = new EventStream(this.url.href, signal);
    const handlers = {
      onEvent: (event: EngineEvent) => stream.push(event),
      onClose: (why: string) => stream.lost(why),
    };
    const connection = await this.connect(clientId, handlers, { signal: signal ?? new AbortController().signal });
    stream.onFinish = () => connection.close();
    return stream;
  }

  async close(): Promise<void> {
    await this.#transport.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #get<T>(schema: Parameters<typeof answers.readAnswer<T>>[0], path: string, signal?: AbortSignal): Promise<T> {
    return this.#read(schema, await this.#transport.request('GET', path, { signal }), path);
  }

  async #post(path: string, json: RequestOptions['json'], signal: AbortSignal | undefined): Promise<void> {
    const { status, body } = await this.#transport.request('POST', path, { json, signal });
    if (status !== 200) throw new ComfyUIRefusedError({ request: `POST /${path}`, status, answer: body.slice(0, 200) });
  }

  #read<T>(schema: Parameters<typeof answers.readAnswer<T>>[0], { status, body }: Answer, request: string): T {
    if (status >= 500) {
      const problem = `status ${status} ${body.split('\n')[0]?.slice(0, 200) ?? ''}`;
      throw new ComfyUIBadAnswerError({ url: this.#transport.url(request).href, problem });
    }
    if (status !== 200) throw new ComfyUIRefusedError({ request, status, answer: body.slice(0, 200) });
    return answers.readAnswer(schema, body, `${this.url.href}${request}`);
  }
}
