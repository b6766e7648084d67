import { isLink, type Prompt } from './graph.ts';

/**
 * Decides the order of execution: from the outputs backwards, without what only leads to cached results, and outputs as
 * early as possible (ComfyUI's picking order, which clients see in the events).
 */
export class Schedule {
  readonly #graph: Prompt;
  readonly #isOutput: (id: string) => boolean;
  readonly #blocking = new Map<string, Set<string>>();
  readonly #waiting = new Map<string, number>();

  constructor(
    graph: Prompt,
    outputs: readonly string[],
    isCached: (id: string) => boolean,
    isOutput: (id: string) => boolean,
  ) {
    this.#graph = graph;
    this.#isOutput = isOutput;
    for (const output of outputs) this.#add(output, isCached);
  }

  #add(output: string, isCached: (id: string) => boolean): void {
    const stack = [output];
    const links: [from: string, to: string][] = [];
    for (let id = stack.pop(); id !== undefined; id = stack.pop()) {
      if (this.#waiting.has(id)) continue;
      this.#waiting.set(id, 0);
      this.#blocking.set(id, new Set());
      for (const value of Object.values(this.#graph[id]?.inputs ?? {})) {
        if (!isLink(value) || isCached(value[0])) continue;
        stack.push(value[0]);
        links.push([value[0], id]);
      }
    }
    for (const [from, to] of links) {
      const blocked = this.#blocking.get(from) as Set<string>;
      if (blocked.has(to)) continue;
      blocked.add(to);
      this.#waiting.set(to, (this.#waiting.get(to) ?? 0) + 1);
    }
  }

  /** The next node to execute; undefined when all are done. */
  next(): string | undefined {
    const ready = [...this.#waiting].filter(([, count]) => count === 0).map(([id]) => id);
    const leadsToOutput = (id: string) => [...(this.#blocking.get(id) ?? [])].some(this.#isOutput);
    const leadsThere = (id: string) => [...(this.#blocking.get(id) ?? [])].some(leadsToOutput);
    return ready.find(this.#isOutput) ?? ready.find(leadsToOutput) ?? ready.find(leadsThere) ?? ready[0];
  }

  done(id: string): void {
    this.#waiting.delete(id);
    for (const to of this.#blocking.get(id) ?? []) this.#waiting.set(to, (this.#waiting.get(to) ?? 1) - 1);
  }
}
