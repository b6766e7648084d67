import { randomUUID } from 'node:crypto';
import type { HttpAnswer, HttpRequest, HttpTarget, HttpTransport } from '@mgpu/core/http-client';
import type { MgpuError } from '@mgpu/core/jobs';
import {
  ComfyUIBadAnswerError,
  ComfyUIFileMissingError,
  ComfyUIRefusedError,
  ComfyUITooOldError,
  ComfyUIUploadTooLargeError,
} from '../errors.ts';
import * as answers from './answers.ts';
import { openEvents } from './event-socket.ts';
import { EventStream } from './event-stream.ts';
import { promptRefusal } from './prompt-refusal.ts';
import { transportTo } from './transport.ts';
import type { EngineFile, HistoryEntry, PromptGraph, Queue, Submission, SystemStats } from './types.ts';

// The protocol is ComfyUI's `server.py` (routes), `execution.py` (queue, history, events) and `protocol.py` (binary frames).

export interface Abortable {
  readonly signal?: AbortSignal | undefined;
}

export interface SubmitOptions extends Abortable {
  /** Lower-case UUID. Default: a new one. */
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

/** Validation of a workflow may wait behind a node that holds Python's lock. */
const submitSilenceMs = 300_000;
/** What a form adds to the file it carries, at most. */
const formBytes = 4_096;

/**
 * ComfyUI's HTTP and websocket protocol, typed; needs nothing else of mgpu. Every call takes a signal and fails with
 * `COMFYUI_UNREACHABLE`, `COMFYUI_BAD_ANSWER` or `COMFYUI_REFUSED`. Connections are kept; `close()` ends them.
 */
export class ComfyUIClient implements AsyncDisposable {
  /** Ends with a slash; has no password. */
  readonly url: URL;
  /** The same with the credentials, where there are any: for whoever connects, not for showing. */
  readonly address: URL;
  readonly #transport: HttpTransport;
  readonly #streams = new Set<EventStream>();

  constructor(target: HttpTarget) {
    this.#transport = transportTo(target);
    this.url = this.#transport.base;
    this.address = this.#transport.address;
  }

  /**
   * Puts a workflow into the queue. `COMFYUI_PROMPT_INVALID` when the engine does not accept it, `COMFYUI_TOO_OLD` when it
   * gave the prompt another id than was asked for.
   */
  async submit(prompt: PromptGraph, options: SubmitOptions = {}): Promise<Submission> {
    const { promptId = randomUUID(), clientId, front, extraData, signal } = options;
    const json = {
      prompt,
      prompt_id: promptId,
      ...(clientId === undefined ? {} : { client_id: clientId }),
      ...(front === undefined ? {} : { front }),
      ...(extraData === undefined ? {} : { extra_data: extraData }),
    };
    const answer = await this.#transport.request('POST', 'prompt', { json, signal, silenceMs: submitSilenceMs });
    if (answer.status === 400) {
      const refusal = promptRefusal(answer.body, prompt);
      if (refusal) throw refusal;
    }
    const {
      prompt_id,
      number,
      node_errors = {},
    } = this.#read(answers.submissionSchema, answer, 'prompt', 'POST /prompt');
    if (prompt_id !== promptId) {
      // Nobody would ever ask for it under that id.
      await this.deletePending([prompt_id], { signal });
      const observed = 'gave a prompt an id of its own';
      throw new ComfyUITooOldError({ where: this.url.href, observed });
    }
    return { promptId, number, nodeErrors: node_errors };
  }

  /** What became of a prompt; undefined while it waits or runs, and when it is not known. */
  async history(promptId: string, { signal }: Abortable = {}): Promise<HistoryEntry | undefined> {
    const all = await this.#get(answers.historySchema, `history/${encodeURIComponent(promptId)}`, signal);
    return all[promptId];
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

  /** Interrupts a prompt if it is running; it ends at its next node or step. Without an id: whatever runs. */
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

  /**
   * Stores a file among the inputs, for `LoadImage` and the like; a `Blob` of `fs.openAsBlob` is read as it is sent. The
   * answer has the name it got. `COMFYUI_UPLOAD_TOO_LARGE` above the engine's limit, 100 MB by default.
   */
  async upload(name: string, file: Uint8Array | Blob, options: UploadOptions = {}): Promise<EngineFile> {
    const { subfolder, overwrite = false, signal } = options;
    const content = file instanceof Blob ? file : new Blob([new Uint8Array(file)]);
    const form = {
      ...(subfolder === undefined ? {} : { subfolder }),
      overwrite: String(overwrite),
      image: { name, content },
    };
    const tooLarge = () => new ComfyUIUploadTooLargeError({ name, bytes: content.size, url: this.url.href });
    const answer = await this.#transport.request('POST', 'upload/image', { form, signal }).catch(async (error) => {
      // The engine cuts the line in the middle of what is over its limit; asked about it only then.
      if (!signal?.aborted && content.size + formBytes > (await this.#uploadLimit())) throw tooLarge();
      throw error;
    });
    if (answer.status === 413) throw tooLarge();
    const stored = this.#read(answers.uploadSchema, answer, 'upload/image', `the upload of ${name}`);
    return { filename: stored.name, subfolder: stored.subfolder, type: 'input' };
  }

  /** A file's content, to be read to its end. `COMFYUI_FILE_MISSING` when there is none. */
  async view(
    file: EngineFile,
    { signal }: Abortable = {},
  ): Promise<{ readonly mediaType: string | undefined; readonly body: AsyncIterable<Uint8Array> }> {
    const query = new URLSearchParams({ filename: file.filename, subfolder: file.subfolder, type: file.type });
    const path = `view?${query}`;
    const { status, mediaType, body } = await this.#transport.stream('GET', path, { signal });
    if (status === 200) return { mediaType, body };
    const answer = { status, body: await firstWords(body) };
    const name = [file.type, file.subfolder, file.filename].filter(Boolean).join('/');
    if (status === 404) throw new ComfyUIFileMissingError({ file: name, url: this.url.href });
    throw this.#failure(answer, path, `to show ${name}`);
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
   * The events of one client id; resolves when the websocket is open, so that nothing of what is submitted then is missed.
   * Take a new id each time: the engine forgets a connection when an older one of the same id ends. Events are not
   * repeated, so ask `history` and `queue` after a gap. Ends when the signal fires; a lost connection throws
   * `COMFYUI_UNREACHABLE`.
   */
  async events(clientId: string, { signal }: Abortable = {}): Promise<EventStream> {
    const stream = new EventStream(this.url.href, signal);
    const handlers = { onEvent: stream.push.bind(stream), onClose: stream.lost.bind(stream) };
    try {
      const connection = await openEvents(this.address, clientId, handlers, { signal });
      this.#streams.add(stream);
      stream.onFinish(() => {
        this.#streams.delete(stream);
        connection.close();
      });
      return stream;
    } catch (error) {
      await stream.return();
      throw error;
    }
  }

  /** Ends all connections; streams of events end with them. */
  async close(): Promise<void> {
    await Promise.all([...this.#streams].map((stream) => stream.return()));
    await this.#transport.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Bytes a request may have; without an answer, as many as anybody likes. */
  async #uploadLimit(): Promise<number> {
    const { max_upload_size: limit } = await this.features().catch(() => ({ max_upload_size: undefined }));
    return typeof limit === 'number' ? limit : Number.POSITIVE_INFINITY;
  }

  async #get<T>(schema: Parameters<typeof answers.readAnswer<T>>[0], path: string, signal?: AbortSignal): Promise<T> {
    return this.#read(schema, await this.#transport.request('GET', path, { signal }), path);
  }

  async #post(path: string, json: HttpRequest['json'], signal: AbortSignal | undefined): Promise<void> {
    const answer = await this.#transport.request('POST', path, { json, signal });
    if (answer.status !== 200) throw this.#failure(answer, path, `POST /${path}`);
  }

  #read<T>(
    schema: Parameters<typeof answers.readAnswer<T>>[0],
    answer: HttpAnswer,
    path: string,
    request = `GET /${path}`,
  ): T {
    if (answer.status !== 200) throw this.#failure(answer, path, request);
    return answers.readAnswer(schema, answer.body, this.#transport.url(path).href);
  }

  #failure({ status, body }: HttpAnswer, path: string, request: string): MgpuError {
    if (status < 500) return new ComfyUIRefusedError({ request, status, answer: body.slice(0, 200) });
    const problem = `status ${status} ${body.split('\n')[0]?.slice(0, 200) ?? ''}`;
    return new ComfyUIBadAnswerError({ url: this.#transport.url(path).href, problem });
  }
}

/** Enough of a body to say why something failed; the rest is left, and the connection clean. */
async function firstWords(body: AsyncIterable<Uint8Array>): Promise<string> {
  for await (const chunk of body) return Buffer.from(chunk).toString();
  return '';
}
