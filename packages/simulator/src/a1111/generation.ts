import { setTimeout } from 'node:timers/promises';
import type { FaultPlan } from '../faults/fault-plan.ts';
import { strikeJob } from '../faults/job-faults.ts';
import { toBytes } from '../pictures/image.ts';
import { paintPicture } from '../pictures/picture.ts';
import { encodePng, type Pixels } from '../pictures/png.ts';
import { PythonError } from '../python/values.ts';
import { hashText } from '../random.ts';
import type { Checkpoint } from './checkpoints.ts';
import { HttpException } from './failure.ts';
import type { Fields } from './fields.ts';
import { infoOf, infotext, samplerOf } from './infotext.ts';
import { mixInto } from './init-image.ts';
import type { Progress } from './progress.ts';
import type { A1111Simulation } from './script.ts';
import type { Settings } from './settings.ts';

export interface GenerationDeps {
  readonly simulation: A1111Simulation;
  readonly faults: FaultPlan;
  readonly progress: Progress;
  readonly settings: Settings;
}

interface Picture {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

const previewSize = 32;
/** More than any GPU of these days holds. */
const maxPixels = 2 ** 26;
const maxSeed = 2 ** 32;

/** One request under the lock: batch by batch, step by step, until it is done or interrupted. */
export class Generation {
  readonly #deps: GenerationDeps;
  readonly #request: Fields;
  readonly #checkpoint: Checkpoint;
  readonly #init: Pixels | undefined;
  readonly #seed: number;

  constructor(deps: GenerationDeps, request: Fields, checkpoint: Checkpoint, init?: Pixels) {
    this.#deps = deps;
    this.#request = request;
    this.#checkpoint = checkpoint;
    this.#init = init;
    const { seed } = request as { seed: number };
    this.#seed = seed < 0 ? Math.floor(Math.random() * maxSeed) : seed;
    if (request.script_name) throw new HttpException(422, `Script '${String(request.script_name)}' not found`);
    const [strange] = Object.keys((request.alwayson_scripts ?? {}) as object);
    if (strange !== undefined) throw new HttpException(422, `always on script ${strange} not found`);
  }

  /** The answer. Throws PythonError. */
  async run(): Promise<Readonly<Record<string, unknown>>> {
    const { progress, simulation, settings } = this.#deps;
    const { n_iter, batch_size, width, height, save_images, send_images } = this.#request as Record<string, number>;
    const [rounds, size] = [n_iter as number, batch_size as number];
    if ((width as number) * (height as number) * size > maxPixels) throw cudaOutOfMemory();
    progress.batches(rounds * (this.#request.enable_hr ? 2 : 1));
    const pictures: Picture[] = [];
    for (let round = 1; round <= rounds && !progress.interrupted; round++) {
      await this.#sample(round, rounds);
      for (let at = 0; at < size; at++) pictures.push(this.#paint((round - 1) * size + at));
    }
    const seeds = Array.from({ length: rounds * size }, (_, at) => this.#seed + at);
    const hasGrid = Boolean(save_images) && settings.get('return_grid') === true && pictures.length > 1;
    const options = {
      request: this.#request,
      checkpoint: this.#checkpoint,
      seeds,
      version: simulation.version,
      timestamp: progress.timestamp,
      firstImage: hasGrid ? 1 : 0,
    };
    const texts = seeds.map((seed) => infotext(options, seed));
    const all = hasGrid ? [gridOf(pictures), ...pictures] : pictures;
    const encoded = all.map((picture, at) => encode(picture, texts[hasGrid ? Math.max(0, at - 1) : at] ?? ''));
    return { images: send_images ? encoded : [], parameters: this.#echo(), info: infoOf(options) };
  }

  async #sample(round: number, rounds: number): Promise<void> {
    const { progress, faults, simulation, settings } = this.#deps;
    const { steps } = this.#request as { steps: number };
    progress.batch(round, { of: rounds, steps });
    progress.skipped = false;
    await this.#strike({ node: round });
    for (let step = 1; step <= steps; step++) {
      await this.#strike({ node: round, step });
      await setTimeout(simulation.stepMs * (faults.current.slow?.stepFactor ?? 1));
      progress.step(step);
      const every = Number(settings.get('show_progress_every_n_steps'));
      if (settings.get('live_previews_enable') && every > 0 && step % every === 0)
        progress.show(this.#preview(step / steps));
      if (progress.interrupted || progress.skipped) return;
    }
  }

  async #strike(place: { node: number; step?: number }): Promise<void> {
    try {
      await strikeJob(this.#deps.faults, { prompt: this.#request }, place);
    } catch (error) {
      if (error instanceof PythonError && error.type.endsWith('OutOfMemoryError')) throw cudaOutOfMemory();
      throw error;
    }
  }

  #paint(index: number): Picture {
    const { width, height, denoising_strength } = this.#request as {
      width: number;
      height: number;
      denoising_strength: number;
    };
    const data = toBytes(paintPicture(this.#hash(this.#seed + index), 1, width, height), 0);
    if (this.#init) mixInto(data, { width, height }, this.#init, denoising_strength);
    return { width, height, data };
  }

  #preview(done: number): string {
    const data = toBytes(paintPicture(this.#hash(this.#seed), 1, previewSize, previewSize, 1 - done), 0);
    return encode({ width: previewSize, height: previewSize, data });
  }

  /** Depends on all that decides a picture and nothing else. */
  #hash(seed: number): number {
    const { prompt, negative_prompt, steps, cfg_scale } = this.#request;
    const decides = [
      this.#deps.simulation.seed,
      seed,
      prompt,
      negative_prompt,
      steps,
      cfg_scale,
      samplerOf(this.#request),
    ];
    return hashText(JSON.stringify([...decides, this.#checkpoint.model_name]));
  }

  #echo(): Fields {
    if (!('init_images' in this.#request) || this.#request.include_init_images) return this.#request;
    return { ...this.#request, init_images: null, mask: null };
  }
}

/** torch's words when a GPU is full. */
const cudaOutOfMemory = () =>
  new PythonError(
    'torch.cuda.OutOfMemoryError',
    'CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 23.99 GiB total capacity)',
  );

const encode = ({ width, height, data }: Picture, text?: string): string =>
  Buffer.from(encodePng({ width, height, channels: 3, data }, text === undefined ? {} : { parameters: text })).toString(
    'base64',
  );

/** The pictures side by side. */
function gridOf(pictures: readonly Picture[]): Picture {
  const [{ width, height }] = pictures as [Picture];
  const data = new Uint8Array(width * height * 3 * pictures.length);
  for (const [at, picture] of pictures.entries()) {
    for (let y = 0; y < height; y++) {
      data.set(picture.data.subarray(y * width * 3, (y + 1) * width * 3), (y * pictures.length + at) * width * 3);
    }
  }
  return { width: width * pictures.length, height, data };
}
