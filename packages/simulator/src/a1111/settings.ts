import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** Those of the program's some 300 settings that have an effect here. */
const defaults: Readonly<Record<string, unknown>> = {
  samples_save: true,
  samples_format: 'png',
  return_grid: true,
  live_previews_enable: true,
  show_progress_every_n_steps: 10,
  sd_model_checkpoint: null,
  sd_vae: 'Automatic',
  CLIP_stop_at_last_layers: 1,
  outdir_txt2img_samples: 'outputs/txt2img-images',
  outdir_img2img_samples: 'outputs/img2img-images',
};

/** `config.json`: read at the start, written whole with every change, as the program does. */
export class Settings {
  readonly #file: string;
  readonly #values: Record<string, unknown>;

  constructor(file: string) {
    this.#file = file;
    this.#values = { ...defaults, ...read(file) };
  }

  get all(): Readonly<Record<string, unknown>> {
    return this.#values;
  }

  get(name: string): unknown {
    return this.#values[name];
  }

  /** Until something else is set, when it is written as well. */
  assume(values: Readonly<Record<string, unknown>>): void {
    Object.assign(this.#values, values);
  }

  set(values: Readonly<Record<string, unknown>>): void {
    this.assume(values);
    mkdirSync(dirname(this.#file), { recursive: true });
    writeFileSync(this.#file, JSON.stringify(this.#values, null, 4));
  }
}

/** The program goes on without a file that is no JSON. */
function read(file: string): Record<string, unknown> {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && !(error instanceof SyntaxError)) throw error;
    if (code !== 'ENOENT')
      process.stderr.write(`*** Could not load settings\n*** The config file "${file}" is likely corrupted\n`);
    return {};
  }
}
