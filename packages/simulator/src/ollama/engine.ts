import { ApiError } from './api-error.ts';
import type { Environment } from './environment.ts';
import type { FaultPlan } from './faults.ts';
import { Puller } from './pull.ts';
import { loadOptionsOf } from './requests.ts';
import { busy, Scheduler, type Slot } from './scheduler.ts';
import type { OllamaSimulation } from './script.ts';
import { ModelStore, type StoredModel } from './store.ts';

/** Everything behind the routes: models on disk and in memory. */
export class Engine {
  readonly environment: Environment;
  readonly simulation: OllamaSimulation;
  readonly faults: FaultPlan;
  readonly store: ModelStore;
  readonly scheduler: Scheduler;
  readonly puller: Puller;
  /** Completions that came to their end. */
  answered = 0;

  constructor(environment: Environment, simulation: OllamaSimulation, faults: FaultPlan) {
    this.environment = environment;
    this.simulation = simulation;
    this.faults = faults;
    this.store = new ModelStore(environment.models);
    this.scheduler = new Scheduler({ ...environment, loadMs: simulation.loadMs });
    this.puller = new Puller(this.store, simulation, faults);
  }

  modelOf(name: string): StoredModel {
    if (name === '') throw new ApiError(400, 'model is required');
    return this.store.get(name);
  }

  /** Waits for a place in the model, which is loaded if need be. */
  load(
    request: { readonly model: string; readonly options?: Readonly<Record<string, unknown>> | undefined },
    keepAliveMs: number,
    signal: AbortSignal,
  ): Promise<Slot> {
    if (this.faults.strike('busy') !== undefined) throw busy();
    const loadOptions = loadOptionsOf(request.options);
    return this.scheduler.acquire({
      model: this.modelOf(request.model),
      loadOptions,
      contextLength: Number(loadOptions.num_ctx ?? this.environment.contextLength),
      keepAliveMs,
      signal,
      onLoad: () => {
        if (this.faults.strikeRequest('outOfMemory', request) !== undefined)
          throw new ApiError(
            500,
            'llama runner process has terminated: cudaMalloc failed: out of memory: CUDA error: out of memory',
          );
      },
    });
  }
}
