import { StopIncompleteError } from '../errors/core-errors.ts';
import { reportError } from '../errors/mgpu-error.ts';
import type { BaseService } from '../service/base-service.ts';
import type { StopOptions } from '../service/types.ts';
import { type Graph, reverse, walk } from './graph.ts';

/** One stop of everything, dependents first. It remembers what could not be released, however often it is hurried. */
export class MachineStop {
  /** Resolves when nothing is left; rejects with `CORE_STOP_INCOMPLETE`. */
  readonly done: Promise<void>;
  readonly #services: ReadonlyMap<string, BaseService<object>>;
  readonly #problems = new Map<string, unknown>();

  constructor(services: ReadonlyMap<string, BaseService<object>>, graph: Graph, options: StopOptions) {
    this.#services = services;
    if (options.force) this.hurry();
    this.done = this.#stopAll(graph, options);
  }

  /** Ends everything at once, out of turn. */
  hurry(): void {
    for (const id of this.#services.keys()) void this.#stop(id, { force: true });
  }

  async #stopAll(graph: Graph, options: StopOptions): Promise<void> {
    await walk(reverse(graph), (id) => this.#stop(id, options));
    if (this.#problems.size === 0) return;
    const errors = [...this.#problems.values()];
    const problems = errors.map((each) => reportError(each).message);
    throw new StopIncompleteError({ instance: 'machine', problems }, { cause: new AggregateError(errors) });
  }

  async #stop(id: string, options: StopOptions): Promise<void> {
    try {
      await this.#services.get(id)?.stop(options);
    } catch (error) {
      this.#problems.set(id, error);
    }
  }
}
