import type { HttpRequest, HttpTarget, HttpTransport } from '@mgpu/core/http-client';
import { A1111BadAnswerError, CheckpointUnknownError } from '../errors.ts';
import * as answers from './answers.ts';
import { failureOf } from './failure.ts';
import { transportTo } from './transport.ts';
import type { Checkpoint, Generated, GenerationRequest, Img2imgRequest, Progress } from './types.ts';

// The protocol is the program's `modules/api/api.py` and `models.py`, as of 1.10.1; Forge's differences are looked over.

export interface Abortable {
  readonly signal?: AbortSignal | undefined;
}

/**
 * The program's HTTP API, typed; needs nothing else of mgpu. Every call takes a signal and fails with `A1111_UNREACHABLE`,
 * `A1111_BAD_ANSWER`, `A1111_REFUSED`, `A1111_REQUEST_INVALID`, or what the program failed with (`A1111_FAILED`,
 * `A1111_OUT_OF_MEMORY`, `A1111_ENGINE_FAULT`, `A1111_NO_MODEL`). Connections are kept; `close()` ends them.
 */
export class A1111Client implements AsyncDisposable {
  /** Ends with a slash. */
  readonly url: URL;
  readonly #transport: HttpTransport;

  /** `http://user:password@host:port` for an engine with `--api-auth`. */
  constructor(target: HttpTarget) {
    this.#transport = transportTo(target);
    this.url = this.#transport.base;
  }

  /**
   * Makes pictures; resolves when they are made, after all requests that came before. One whose signal fires is not taken
   * back: the engine goes on with it, unless it is interrupted.
   */
  txt2img(request: GenerationRequest, options: Abortable = {}): Promise<Generated> {
    return this.#generate('txt2img', request, options);
  }

  /** The same from a picture. */
  img2img(request: Img2imgRequest, options: Abortable = {}): Promise<Generated> {
    return this.#generate('img2img', request, options);
  }

  /**
   * Enlarges a picture by one of the engine's upscalers (`Lanczos` and `Nearest` need no model), after all requests that came
   * before. The file comes back in the format of the setting `samples_format`, PNG by default.
   */
  async upscale(
    picture: Uint8Array,
    { upscaler, factor = 2, signal }: { readonly upscaler: string; readonly factor?: number } & Abortable,
  ): Promise<Uint8Array> {
    const json = {
      image: Buffer.from(picture).toString('base64'),
      upscaler_1: upscaler,
      upscaling_resize: factor,
    };
    const answer = await this.#post('extra-single-image', json, { signal, timeoutMs: 0 });
    const { image } = answers.readAnswer(answers.upscaledSchema, answer, this.#href('extra-single-image'));
    return Buffer.from(image, 'base64');
  }

  /** What runs now, whoever asked for it. */
  async progress({ preview = true, signal }: { readonly preview?: boolean } & Abortable = {}): Promise<Progress> {
    const path = `progress?skip_current_image=${!preview}`;
    const { progress, eta_relative, state, current_image } = await this.#get(answers.progressSchema, path, signal);
    return {
      isBusy: state.job_count !== 0 || state.job !== '',
      fraction: Math.min(1, Math.max(0, progress)),
      etaSeconds: eta_relative,
      job: state.job,
      timestamp: state.job_timestamp,
      step: state.sampling_step,
      steps: state.sampling_steps,
      interrupted: state.interrupted,
      preview: current_image ? Buffer.from(current_image, 'base64') : undefined,
    };
  }

  /** Ends the request that runs, whoever asked for it: it answers with what it has. One that waits is not reached. */
  async interrupt({ signal }: Abortable = {}): Promise<void> {
    await this.#post('interrupt', {}, { signal });
  }

  /** Goes on with the next batch of the request that runs. */
  async skip({ signal }: Abortable = {}): Promise<void> {
    await this.#post('skip', {}, { signal });
  }

  /** The settings, some 300. */
  options({ signal }: Abortable = {}): Promise<Readonly<Record<string, unknown>>> {
    return this.#get(answers.recordSchema, 'options', signal);
  }

  /** Changes settings of the whole engine, for good. One of the checkpoint waits until that is loaded. */
  async setOptions(values: Readonly<Record<string, unknown>>, { signal }: Abortable = {}): Promise<void> {
    await this.#post('options', values, { signal, timeoutMs: 0 });
  }

  /** The checkpoints there are. */
  async models({ signal }: Abortable = {}): Promise<readonly Checkpoint[]> {
    const all = await this.#get(answers.checkpointsSchema, 'sd-models', signal);
    return all.map(({ title, model_name: name, sha256, filename }) => ({
      title,
      name,
      sha256: sha256 ?? undefined,
      filename,
    }));
  }

  /** Looks again which checkpoints there are; waits for the request that runs. */
  async refreshModels({ signal }: Abortable = {}): Promise<void> {
    await this.#post('refresh-checkpoints', {}, { signal, timeoutMs: 0 });
  }

  /**
   * Loads a checkpoint, by its title, its name, its file's name, or its SHA-256 or the first ten digits of that; resolves when it is loaded, which may take minutes. Looks
   * again for one that is not known. `A1111_CHECKPOINT_UNKNOWN`.
   */
  async loadModel(name: string, { signal }: Abortable = {}): Promise<Checkpoint> {
    const find = async () => (await this.models({ signal })).find((each) => isCalled(each, name));
    let found = await find();
    if (!found) {
      await this.refreshModels({ signal });
      found = await find();
    }
    if (!found) {
      const known = (await this.models({ signal })).map(({ title }) => title);
      throw new CheckpointUnknownError({ name, known });
    }
    await this.setOptions({ sd_model_checkpoint: found.title }, { signal });
    return found;
  }

  /** Names of the samplers. The engine takes an unknown one for the first of them, without a word. */
  async samplers({ signal }: Abortable = {}): Promise<readonly string[]> {
    return (await this.#get(answers.namesSchema, 'samplers', signal)).map(({ name }) => name);
  }

  async schedulers({ signal }: Abortable = {}): Promise<readonly string[]> {
    return (await this.#get(answers.namesSchema, 'schedulers', signal)).map(({ name }) => name);
  }

  /** The arguments it was started with, by name. */
  flags({ signal }: Abortable = {}): Promise<Readonly<Record<string, unknown>>> {
    return this.#get(answers.recordSchema, 'cmd-flags', signal);
  }

  /** Memory of the process and of its GPU, in bytes: `{ ram, cuda }`. */
  memory({ signal }: Abortable = {}): Promise<Readonly<Record<string, unknown>>> {
    return this.#get(answers.recordSchema, 'memory', signal);
  }

  close(): Promise<void> {
    return this.#transport.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #generate(kind: string, request: GenerationRequest, { signal }: Abortable): Promise<Generated> {
    // Behind others it may wait for hours.
    const answer = await this.#post(kind, { ...request, send_images: true }, { signal, timeoutMs: 0 });
    const url = this.#href(kind);
    const { images, info: text } = answers.readAnswer(answers.generatedSchema, answer, url);
    const info = answers.readAnswer(answers.infoSchema, text, url);
    const files = (images ?? []).map((each) => Buffer.from(each, 'base64'));
    if (files.some(({ length }) => length === 0)) throw new A1111BadAnswerError({ url, problem: 'a picture is empty' });
    return { images: files, firstImage: info.index_of_first_image, seeds: info.all_seeds, info };
  }

  async #get<T>(schema: Parameters<typeof answers.readAnswer<T>>[0], path: string, signal?: AbortSignal): Promise<T> {
    const answer = await this.#transport.request('GET', `sdapi/v1/${path}`, { signal });
    if (answer.status !== 200) throw failureOf(`GET /sdapi/v1/${path}`, this.#href(path), answer);
    return answers.readAnswer(schema, answer.body, this.#href(path));
  }

  async #post(path: string, json: unknown, options: HttpRequest): Promise<string> {
    const answer = await this.#transport.request('POST', `sdapi/v1/${path}`, { ...options, json });
    if (answer.status !== 200) throw failureOf(`POST /sdapi/v1/${path}`, this.#href(path), answer);
    // An answer that nobody reads may be nonsense all the same.
    answers.readAnswer(answers.anythingSchema, answer.body, this.#href(path));
    return answer.body;
  }

  #href(path: string): string {
    return this.#transport.url(`sdapi/v1/${path}`).href;
  }
}

const isCalled = ({ title, name, filename, sha256 }: Checkpoint, wanted: string) =>
  [title, title.replace(/ \[[0-9a-f]+\]$/, ''), name, sha256, sha256?.slice(0, 10)].includes(wanted) ||
  filename.endsWith(`/${wanted}`);
