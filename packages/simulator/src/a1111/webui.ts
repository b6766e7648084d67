import { setTimeout } from 'node:timers/promises';
import type { FaultPlan } from '../faults/fault-plan.ts';
import { PythonError } from '../python/values.ts';
import { type Checkpoint, findByAlias, findCheckpoints } from './checkpoints.ts';
import type { Fields } from './fields.ts';
import { Generation } from './generation.ts';
import { readInitImage } from './init-image.ts';
import type { Options } from './options.ts';
import { Progress } from './progress.ts';
import { QueueLock } from './queue-lock.ts';
import type { A1111Simulation } from './script.ts';
import { Settings } from './settings.ts';

/** Everything behind the routes: one lock, one job, one loaded checkpoint, and the settings. */
export class Webui {
  readonly options: Options;
  readonly simulation: A1111Simulation;
  readonly faults: FaultPlan;
  readonly progress = new Progress();
  readonly lock = new QueueLock();
  readonly settings: Settings;
  #checkpoints: readonly Checkpoint[];
  #loaded: Checkpoint | undefined;
  #loading: Promise<void> = Promise.resolve();
  #finishedJobs = 0;
  /** A web page is attached to first, the API a moment later. */
  isApiAttached = true;

  constructor(options: Options, simulation: A1111Simulation, faults: FaultPlan) {
    this.options = options;
    this.simulation = simulation;
    this.faults = faults;
    this.settings = new Settings(options.settingsFile);
    this.#checkpoints = findCheckpoints(options.checkpointDirs, simulation.checkpoints);
  }

  get checkpoints(): readonly Checkpoint[] {
    return this.#checkpoints;
  }

  get loaded(): Checkpoint | undefined {
    return this.#loaded;
  }

  get finishedJobs(): number {
    return this.#finishedJobs;
  }

  refresh(): void {
    this.#checkpoints = findCheckpoints(this.options.checkpointDirs, this.simulation.checkpoints);
  }

  /** The background load at the start: HTTP answers meanwhile, jobs wait. */
  loadAtStart(): void {
    const wanted = findByAlias(this.#checkpoints, this.settings.get('sd_model_checkpoint')) ?? this.#checkpoints[0];
    if (wanted === undefined) {
      process.stdout.write(`No checkpoints found. When searching for checkpoints, looked at:\n`);
      for (const folder of this.options.checkpointDirs) process.stdout.write(` - directory ${folder}\n`);
      process.stdout.write('Stable diffusion model failed to load\n');
      return;
    }
    // As `load_model_weights` of 1.10.1 does, whatever was configured.
    this.settings.assume({ sd_model_checkpoint: wanted.title });
    this.#loading = this.#load(wanted);
  }

  /** Sets settings; a checkpoint is loaded before it returns. Throws PythonError when there is no such one. */
  async configure(values: Fields): Promise<void> {
    const { sd_model_checkpoint: name } = values;
    const checkpoint = findByAlias(this.#checkpoints, name);
    if (typeof name === 'string' && !checkpoint) throw new PythonError('RuntimeError', `model '${name}' not found`);
    if (!checkpoint) return this.settings.set(values);
    await this.lock.hold(async () => {
      await this.#loading;
      if (checkpoint.title !== this.#loaded?.title) await this.#load(checkpoint);
      this.settings.set({ ...values, sd_model_checkpoint: checkpoint.title });
    });
  }

  /** One job, when its turn has come. */
  generate(kind: 'txt2img' | 'img2img', request: Fields): Promise<Readonly<Record<string, unknown>>> {
    return this.lock.hold(async () => {
      const init = kind === 'img2img' ? await readInitImage(request.init_images) : undefined;
      await this.#loading;
      const checkpoint = await this.#checkpointFor(request);
      const generation = new Generation(this, request, checkpoint, init);
      this.progress.begin(`scripts_${kind}`);
      try {
        return await generation.run();
      } finally {
        this.progress.end();
        this.#finishedJobs++;
      }
    });
  }

  /** One that the request overrides, unless there is no such: then the program says nothing of it. */
  async #checkpointFor({ override_settings }: Fields): Promise<Checkpoint> {
    const { sd_model_checkpoint: name } = (override_settings ?? {}) as Fields;
    const override = findByAlias(this.#checkpoints, name);
    if (override && override.title !== this.#loaded?.title) await this.#load(override);
    if (this.#loaded) return this.#loaded;
    throw new PythonError('AttributeError', "'NoneType' object has no attribute 'sd_checkpoint_info'");
  }

  async #load(checkpoint: Checkpoint): Promise<void> {
    process.stdout.write(`Loading weights [${checkpoint.hash}] from ${checkpoint.filename}\n`);
    await setTimeout(this.simulation.modelMs);
    this.#loaded = checkpoint;
    process.stdout.write(`Model loaded in ${(this.simulation.modelMs / 1000).toFixed(1)}s\n`);
  }
}
