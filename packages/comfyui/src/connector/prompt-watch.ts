import type { Clock } from '@mgpu/core/jobs';
import type { EngineEvent, NodeOutput } from '../client/types.ts';
import type { Outcome } from './outcome.ts';

/** Nobody reads it; making the default one takes longer than all else here. */
const noReason = 'no longer waited for';

/** Not the end: ComfyUI leaves out what depends on that node and does the rest (`execution_block_cb` in execution.py). */
const blocked = 'ExecutionBlocked';

/**
 * One prompt as the websocket shows it. What it says of the end is believed only while `isWhole`: the connection has
 * been open, and nothing of it lost, since before the prompt was submitted.
 */
export class PromptWatch {
  readonly promptId: string;
  readonly #onEvent: (event: EngineEvent) => void;
  readonly #outputs: Record<string, NodeOutput> = {};
  #wake = Promise.withResolvers<void>();
  #outcome: Outcome | undefined;
  #news = 0;
  isWhole: boolean;
  /** The engine has begun with it. */
  hasBegun = false;

  constructor(promptId: string, options: { isWhole: boolean; onEvent: (event: EngineEvent) => void }) {
    this.promptId = promptId;
    this.isWhole = options.isWhole;
    this.#onEvent = options.onEvent;
  }

  see(event: EngineEvent): void {
    this.#news++;
    this.#onEvent(event);
    if (event.type === 'execution_start') this.hasBegun = true;
    else if (event.type === 'executed' && event.data.output) this.#outputs[event.data.node] = event.data.output;
    else if (event.type === 'execution_success') this.#end({ end: 'success', outputs: this.#outputs });
    else if (event.type === 'execution_error' && event.data.exception_type !== blocked)
      this.#end({ end: 'error', error: event.data });
    else if (event.type === 'execution_interrupted')
      this.#end({ end: 'interrupted', node: String(event.data.node_id) });
  }

  /** From now on only the engine itself is believed. */
  distrust(): void {
    this.isWhole = false;
    this.#wake.resolve();
  }

  /** Its end; undefined when the engine should be asked: the connection broke, or nothing was heard for `ms`. */
  async next(ms: number, clock: Clock, signal: AbortSignal): Promise<Outcome | undefined> {
    for (;;) {
      if (this.#outcome && this.isWhole) return this.#outcome;
      const { isWhole } = this;
      const news = this.#news;
      const woken = await this.#pause(ms, clock, signal);
      if (isWhole !== this.isWhole) return undefined;
      if (!woken && (!this.isWhole || news === this.#news)) return undefined;
    }
  }

  async #pause(ms: number, clock: Clock, signal: AbortSignal): Promise<boolean> {
    const enough = new AbortController();
    const timer = clock.sleep(ms, { signal: AbortSignal.any([signal, enough.signal]) });
    timer.catch(() => {}); // what it rejects with is seen by the race, or nobody waits for it any more
    try {
      return await Promise.race([this.#wake.promise.then(() => true), timer.then(() => false)]);
    } finally {
      enough.abort(noReason);
      this.#wake = Promise.withResolvers();
    }
  }

  #end(outcome: Outcome): void {
    this.#outcome = outcome;
    this.#wake.resolve();
  }
}
