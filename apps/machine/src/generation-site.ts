import { createHash } from 'node:crypto';
import { changeNodes, type Generation, GenerationStore, type NodeChangeOptions, openParts } from '@mgpu/comfyui/setup';
import { NodeManager, takeOverMemory } from '@mgpu/custom-nodes';
import type { NodeSite, NodeTarget, SiteChange } from '@mgpu/custom-nodes/service';

export interface GenerationSiteOptions extends Omit<NodeChangeOptions, 'nodes'> {
  /** Names what is asked for: an interrupted change is gone on with for the same only. */
  readonly request: string;
}

/**
 * The custom nodes of a machine's ComfyUI: looked at in the generation in force, changed in a new one that is proved and rolled
 * out before the change counts.
 */
export class GenerationSite implements NodeSite {
  readonly #options: GenerationSiteOptions;
  #made: Generation | undefined;

  constructor(options: GenerationSiteOptions) {
    this.#options = options;
  }

  /** The generation that the last change made; undefined when nothing of it was to stay. */
  get made(): Generation | undefined {
    return this.#made;
  }

  async current(): Promise<NodeTarget> {
    const store = new GenerationStore(this.#options.layout);
    return this.#targetOf(await store.expectCurrent());
  }

  async change<T>(
    work: (target: NodeTarget) => Promise<SiteChange<T>>,
    { signal = this.#options.signal }: { signal?: AbortSignal | undefined } = {},
  ): Promise<T> {
    const before = await this.current();
    let outcome: SiteChange<T> | undefined;
    this.#made = await changeNodes({
      ...this.#options,
      signal,
      nodes: {
        request: this.#options.request,
        apply: async (parts) => {
          const target = targetOf(parts);
          outcome = await work(target);
          // One that was interrupted may have changed what this one finds as it should be.
          const [was, is] = [stateOf(before), stateOf(target)];
          if (outcome.isChanged || is !== was) return is;
          // No generation for that; but what failed, and would fail again, is remembered.
          await takeOverMemory(target, before);
          return undefined;
        },
      },
    });
    if (!outcome) throw new TypeError('the change resolved without having been made');
    return outcome.result;
  }

  #targetOf(generation: Generation): NodeTarget {
    return targetOf(openParts(generation, this.#options));
  }
}

const targetOf = ({ checkout, nodes, state, python, requirements }: ReturnType<typeof openParts>): NodeTarget => ({
  packs: nodes,
  state,
  engine: checkout,
  python,
  engineRequirements: requirements,
});

function stateOf(target: NodeTarget): string {
  const lock = new NodeManager(target, { env: {} }).lock();
  return createHash('sha256')
    .update(JSON.stringify(lock ?? {}))
    .digest('hex');
}
