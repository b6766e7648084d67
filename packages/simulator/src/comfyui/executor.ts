import { setImmediate, setTimeout } from 'node:timers/promises';
import type { FaultPlan } from '../faults/fault-plan.ts';
import { strikeJob } from '../faults/job-faults.ts';
import type { ResultCache } from './cache.ts';
import { describeFailure, Interrupted } from './failure.ts';
import { isLink, type Prompt } from './graph.ts';
import type { FinishedRun, NodeMeta } from './history.ts';
import type { Hub } from './hub.ts';
import type { Log } from './log.ts';
import type { NodeClass, NodeContext, NodeResult, NodeWorld } from './nodes/node.ts';
import type { Options } from './options.ts';
import { Progress } from './progress.ts';
import type { QueueItem } from './queue.ts';
import { Schedule } from './schedule.ts';
import type { Faults } from './script.ts';
import { signatures } from './signatures.ts';

interface ExecutorOptions {
  readonly world: NodeWorld;
  readonly options: Options;
  readonly nodes: ReadonlyMap<string, NodeClass>;
  readonly hub: Hub;
  readonly cache: ResultCache;
  readonly faults: FaultPlan<Faults>;
  readonly log: Log;
}

/** What one prompt has come to. */
interface Run {
  readonly item: QueueItem;
  readonly progress: Progress;
  readonly signatures: ReadonlyMap<string, string>;
  readonly results: Map<string, NodeResult>;
  readonly executed: string[];
  readonly outputs: Record<string, Record<string, unknown>>;
  readonly meta: Record<string, NodeMeta>;
}

/** Number of the node that runs, among those that were not cached, from 1. */
const numberOf = (run: Run) => run.executed.length + 1;

/** Executes one prompt after the other and tells the hub about it, in the real server's order of events. */
export class Executor {
  readonly #deps: ExecutorOptions;
  #interrupt = new AbortController();
  #executedPrompts = 0;

  constructor(deps: ExecutorOptions) {
    this.#deps = deps;
  }

  get executedPrompts(): number {
    return this.#executedPrompts;
  }

  /** Sets the flag that the next node boundary or step notices; a prompt that starts clears it. */
  interrupt(): void {
    this.#interrupt.abort();
  }

  async execute(item: QueueItem): Promise<FinishedRun> {
    const { hub, cache, nodes, world, log } = this.#deps;
    this.#interrupt = new AbortController();
    const clientId = item.extraData.client_id;
    hub.runner = clientId === undefined || clientId === null ? undefined : String(clientId);
    hub.node = undefined;
    const messages: [string, Record<string, unknown>][] = [];
    const tell = (event: string, data: Record<string, unknown>, everyone = false) => {
      const stamped = { ...data, timestamp: Date.now() };
      messages.push([event, stamped]);
      if (everyone) hub.send(event, stamped);
      else hub.sendToRunner(event, stamped);
    };

    tell('execution_start', { prompt_id: item.id });
    const keys = await signatures(item.prompt, nodes, world);
    cache.keepFor(new Set(keys.values()));
    const isCached = (id: string) => cache.get(keys.get(id) ?? '') !== undefined;
    tell('execution_cached', { nodes: Object.keys(item.prompt).filter(isCached), prompt_id: item.id });
    const run: Run = {
      item,
      progress: new Progress(hub, item.id, world.simulation.version),
      signatures: keys,
      results: new Map(),
      executed: [],
      outputs: {},
      meta: {},
    };
    const failure = await this.#runNodes(run, isCached);
    cache.trim();
    this.#executedPrompts++;
    if (failure === undefined) tell('execution_success', { prompt_id: item.id });
    else if (failure.interrupted) {
      log.info('Processing interrupted');
      tell('execution_interrupted', failure.data, true);
    } else tell('execution_error', failure.data);
    const success = failure === undefined;
    return {
      item,
      outputs: run.outputs,
      meta: run.meta,
      status: { status_str: success ? 'success' : 'error', completed: success, messages },
    };
  }

  async #runNodes(
    run: Run,
    isCached: (id: string) => boolean,
  ): Promise<{ interrupted: boolean; data: Record<string, unknown> } | undefined> {
    const graph = run.item.prompt;
    const isOutput = (id: string) => this.#deps.nodes.get(graph[id]?.class_type ?? '')?.outputNode ?? false;
    const schedule = new Schedule(graph, run.item.outputs, isCached, isOutput);
    await this.#work(this.#deps.world.simulation.promptMs);
    for (let id = schedule.next(); id !== undefined; id = schedule.next()) {
      try {
        await this.#runNode(run, id);
      } catch (error) {
        return this.#describe(run, id, error);
      }
      schedule.done(id);
    }
    return undefined;
  }

  async #runNode(run: Run, id: string): Promise<void> {
    const { cache, hub, nodes } = this.#deps;
    const { item, progress } = run;
    const key = run.signatures.get(id) as string;
    const node = item.prompt[id] as Prompt[string];
    const nodeClass = nodes.get(node.class_type) as NodeClass;
    const cached = cache.get(key);
    if (cached !== undefined) {
      hub.sendToRunner('executed', { node: id, display_node: id, output: cached.ui ?? null, prompt_id: item.id });
      this.#keep(run, id, cached);
    } else {
      progress.start(id);
      hub.node = id;
      hub.sendToRunner('executing', { node: id, display_node: id, prompt_id: item.id });
      this.#checkInterrupt();
      await strikeJob(this.#deps.faults, item, { node: numberOf(run) });
      const result = await nodeClass.run(this.#inputsOf(run, id), this.#contextOf(run, id));
      if (result.ui !== undefined)
        hub.sendToRunner('executed', { node: id, display_node: id, output: result.ui, prompt_id: item.id });
      cache.set(key, result);
      this.#keep(run, id, result);
      run.executed.push(id);
    }
    progress.finish(id);
  }

  #keep(run: Run, id: string, result: NodeResult): void {
    run.results.set(id, result);
    if (result.ui === undefined) return;
    run.outputs[id] = result.ui;
    run.meta[id] = { node_id: id, display_node: id, parent_node: null, real_node_id: id };
  }

  #inputsOf(run: Run, id: string): Record<string, unknown> {
    const node = run.item.prompt[id] as Prompt[string];
    const { required, optional } = (this.#deps.nodes.get(node.class_type) as NodeClass).inputs(this.#deps.world);
    const inputs: Record<string, unknown> = {};
    for (const name of Object.keys({ ...required, ...optional })) {
      const value = node.inputs[name];
      if (value === undefined) continue;
      inputs[name] = isLink(value) ? this.#resultOf(run, value[0])?.outputs[value[1]] : value;
    }
    return inputs;
  }

  #resultOf(run: Run, id: string): NodeResult | undefined {
    return run.results.get(id) ?? this.#deps.cache.get(run.signatures.get(id) as string);
  }

  #contextOf(run: Run, id: string): NodeContext {
    const { world, options, faults } = this.#deps;
    const { item } = run;
    const method = item.extraData.preview_method ?? options.previewMethod;
    const previews =
      world.simulation.previews ?? (method !== 'none' && !(method === 'default' && options.previewMethod === 'none'));
    return {
      ...world,
      nodeId: id,
      prompt: item.prompt,
      extraPngInfo: item.extraData.extra_pnginfo,
      metadata: options.metadata,
      previewSize: previews ? options.previewSize : undefined,
      work: (ms, atOnce) => this.#work(ms * (faults.current.slow?.stepFactor ?? 1), atOnce),
      beforeStep: (step) => strikeJob(faults, item, { node: numberOf(run), step }),
      progress: (value, max, preview) => {
        this.#checkInterrupt();
        run.progress.update(id, value, max, preview);
      },
    };
  }

  async #work(ms: number, atOnce = false): Promise<void> {
    const { signal } = this.#interrupt;
    if (ms <= 0) await setImmediate();
    else if (atOnce) await setTimeout(ms, undefined, { signal }).catch(() => undefined);
    else await setTimeout(ms);
    if (atOnce) this.#checkInterrupt();
  }

  #checkInterrupt(): void {
    if (this.#interrupt.signal.aborted) throw new Interrupted();
  }

  #describe(run: Run, id: string, error: unknown): { interrupted: boolean; data: Record<string, unknown> } {
    const { item, executed } = run;
    const about = { prompt_id: item.id, node_id: id, node_type: item.prompt[id]?.class_type, executed: [...executed] };
    if (error instanceof Interrupted) return { interrupted: true, data: about };
    const failure = describeFailure(error, this.#inputsOf(run, id), this.#deps.log);
    return { interrupted: false, data: { ...about, ...failure, current_outputs: Object.keys(item.prompt) } };
  }
}
