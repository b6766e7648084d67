import type { FaultPlan } from '../faults/fault-plan.ts';
import { ResultCache } from './cache.ts';
import { Executor } from './executor.ts';
import { serverFeatures } from './features.ts';
import type { Folders } from './folders.ts';
import { History } from './history.ts';
import { Hub } from './hub.ts';
import type { Log } from './log.ts';
import type { NodeClass, NodeWorld } from './nodes/node.ts';
import type { Options } from './options.ts';
import { PromptQueue } from './queue.ts';
import type { Faults, Simulation } from './script.ts';
import { isSince } from './version.ts';

interface EngineOptions {
  readonly options: Options;
  readonly simulation: Simulation;
  readonly folders: Folders;
  readonly nodes: ReadonlyMap<string, NodeClass>;
  readonly faults: FaultPlan<Faults>;
  readonly log: Log;
}

/** Everything behind the routes: queue, worker, history, sockets. */
export class Engine {
  readonly options: Options;
  readonly simulation: Simulation;
  readonly world: NodeWorld;
  readonly nodes: ReadonlyMap<string, NodeClass>;
  readonly log: Log;
  readonly faults: FaultPlan<Faults>;
  readonly history = new History();
  readonly queue: PromptQueue;
  readonly hub: Hub;
  readonly executor: Executor;
  readonly features: Record<string, unknown>;
  readonly #cache: ResultCache;
  #freeMemory = false;
  /** Advances with every submission, refused ones too. */
  #number = 0;

  constructor({ options, simulation, folders, nodes, faults, log }: EngineOptions) {
    this.options = options;
    this.simulation = simulation;
    this.world = { folders, simulation };
    this.nodes = nodes;
    this.faults = faults;
    this.log = log;
    this.features = serverFeatures(simulation.version, options);
    this.hub = new Hub({ faults, features: this.features, queueInfo: () => this.queueInfo() });
    this.queue = new PromptQueue(() => this.hub.broadcast('status', { status: this.queueInfo() }));
    this.#cache = new ResultCache(options.cache);
    this.executor = new Executor({
      world: this.world,
      options,
      nodes,
      hub: this.hub,
      cache: this.#cache,
      faults,
      log,
    });
    log.onEntry = (entry) => this.hub.sendLog(entry);
  }

  queueInfo() {
    return { exec_info: { queue_remaining: this.queue.remaining } };
  }

  nextNumber(): number {
    return this.#number++;
  }

  isSince(version: string): boolean {
    return isSince(this.simulation.version, version);
  }

  /** Stops a running prompt, or removes a pending one. */
  cancel(id: string): boolean {
    if (this.queue.running?.id !== id) return this.queue.delete(id);
    this.executor.interrupt();
    return true;
  }

  free(memory: boolean): void {
    this.#freeMemory ||= memory;
    if (this.queue.running === undefined) this.#dropResults();
  }

  cachedResults(): number {
    return this.#cache.size;
  }

  /** The worker: one prompt at a time, for ever. */
  async work(): Promise<never> {
    for (;;) {
      const item = await this.queue.take();
      const started = performance.now();
      const run = await this.executor.execute(item);
      this.history.add(run);
      this.queue.done();
      this.hub.sendToRunner('executing', { node: null, prompt_id: item.id });
      this.hub.node = undefined;
      this.log.info(`Prompt executed in ${((performance.now() - started) / 1000).toFixed(2)} seconds`);
      this.#dropResults();
    }
  }

  #dropResults(): void {
    if (this.#freeMemory) this.#cache.clear();
    this.#freeMemory = false;
  }
}
