import type { JobProgress } from '@mgpu/core/jobs';
import type { EngineEvent, PromptGraph } from '../client/types.ts';

interface Current {
  readonly node: string;
  readonly value: number;
  readonly max: number;
}

/** How far a prompt is: nodes that are done, and the part of the one that runs, of all nodes of its graph. */
export class ProgressMeter {
  readonly #total: number;
  readonly #graph: PromptGraph;
  readonly #done = new Set<string>();
  #current: Current | undefined;
  #percent = 0;

  constructor(graph: PromptGraph) {
    this.#graph = graph;
    this.#total = Math.max(1, Object.keys(graph).length);
  }

  /** The progress after this event; undefined when it says nothing new. */
  see(event: EngineEvent): JobProgress | undefined {
    if (event.type === 'execution_success') {
      this.#percent = 100;
      return { percent: 100 };
    }
    if (event.type === 'execution_start') this.#startOver();
    else if (event.type === 'execution_cached') for (const node of event.data.nodes) this.#finish(node);
    else if (event.type === 'executing' && event.data.node !== null)
      this.#run({ node: event.data.node, value: 0, max: 1 });
    else if (event.type === 'progress') this.#run(event.data);
    else if (event.type === 'progress_state') this.#seeAll(event.data.nodes);
    else return undefined;
    return this.#report();
  }

  /** An engine that died does everything again; what was reported stands until that is passed. */
  #startOver(): void {
    this.#done.clear();
    this.#current = undefined;
  }

  #seeAll(nodes: Extract<EngineEvent, { type: 'progress_state' }>['data']['nodes']): void {
    for (const [id, { state, value, max, display_node_id }] of Object.entries(nodes)) {
      if (state === 'finished') this.#finish(id);
      else if (state === 'running') this.#run({ node: display_node_id ?? id, value, max });
    }
  }

  #run({ node, value, max }: Current): void {
    if (this.#current && this.#current.node !== node) this.#finish(this.#current.node);
    // `executing` comes between the steps of `progress_state` and knows none.
    if (this.#current?.node === node && max <= 1 && this.#current.max > 1) return;
    this.#current = { node, value, max };
  }

  #finish(node: string): void {
    // Nodes that others expanded into are not in the graph and do not count.
    if (Object.hasOwn(this.#graph, node)) this.#done.add(node);
    if (this.#current?.node === node) this.#current = undefined;
  }

  #report(): JobProgress {
    const { node, value = 0, max = 1 } = this.#current ?? {};
    const part = node !== undefined && !this.#done.has(node) && max > 0 ? Math.min(1, value / max) : 0;
    const percent = Math.min(100, Math.floor(((this.#done.size + part) / this.#total) * 1_000) / 10);
    this.#percent = Math.max(this.#percent, percent);
    return {
      percent: this.#percent,
      ...(node === undefined ? {} : { node }),
      ...(node !== undefined && max > 1 ? { step: value, steps: max } : {}),
    };
  }
}
