/** What `/sdapi/v1/txt2img` takes; all of it has defaults. Names and values are the program's own (`<engine>/docs`). */
export interface GenerationRequest {
  readonly prompt?: string;
  readonly negative_prompt?: string;
  /** -1: another one each time. */
  readonly seed?: number;
  /** The program's default is 50. */
  readonly steps?: number;
  readonly width?: number;
  readonly height?: number;
  readonly cfg_scale?: number;
  readonly sampler_name?: string;
  readonly scheduler?: string;
  /** Pictures at a time. */
  readonly batch_size?: number;
  /** Batches, one after another. */
  readonly n_iter?: number;
  readonly denoising_strength?: number;
  /** Settings for this request alone, e.g. `{ sd_model_checkpoint }`. */
  readonly override_settings?: Readonly<Record<string, unknown>>;
  readonly save_images?: boolean;
  readonly script_name?: string | null;
  readonly [field: string]: unknown;
}

export interface Img2imgRequest extends GenerationRequest {
  /** Base64, with or without the head of a data URI. */
  readonly init_images: readonly string[];
  /** Base64; white is painted anew. */
  readonly mask?: string;
}

/** What was made. */
export interface Generated {
  /** Files as the setting `samples_format` says, PNG by default: grids first, then the samples, then what scripts added. */
  readonly images: readonly Uint8Array[];
  /** How many of them are grids. */
  readonly firstImage: number;
  /** Of the samples, in their order. */
  readonly seeds: readonly number[];
  /** Everything the program says of it. */
  readonly info: Readonly<Record<string, unknown>>;
}

/** What the engine does now. */
export interface Progress {
  /** False: nothing runs. */
  readonly isBusy: boolean;
  /** 0 to 1, of the request that runs. */
  readonly fraction: number;
  /** Seconds. */
  readonly etaSeconds: number;
  readonly job: string;
  /** Changes with every request that begins, once a second. */
  readonly timestamp: string;
  readonly step: number;
  readonly steps: number;
  readonly interrupted: boolean;
  /** The latest picture of the work so far. */
  readonly preview: Uint8Array | undefined;
}

export interface Checkpoint {
  /** By which it is loaded: its file name, with ten digits of its hash once that is known. */
  readonly title: string;
  readonly name: string;
  readonly sha256: string | undefined;
  readonly filename: string;
}
