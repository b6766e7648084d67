import { randomUUID } from 'node:crypto';
import { abortable, type Clock, deadline, type Logger, reportError } from '@mgpu/core/jobs';
import type { ComfyUIClient, EventConnection } from '../client/comfyui-client.ts';
import type { EngineEvent } from '../client/types.ts';
import type { PromptWatch } from './prompt-watch.ts';

const retryMs = { first: 250, most: 10_000 };

/**
 * The one websocket to an engine, shared by all its jobs. It is opened before a job is submitted, under a new id each
 * time, and done without when it cannot be: then the engine is asked. Nothing waits for it, no timer runs for it.
 */
export class EventLink {
  readonly #client: ComfyUIClient;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #openMs: number;
  readonly #watches = new Map<string, PromptWatch>();
  readonly #end = new AbortController();
  #connection: EventConnection | undefined;
  #opening: Promise<EventConnection | undefined> | undefined;
  #failures = 0;
  #notBefore = Number.NEGATIVE_INFINITY;
  /** The prompt that runs, for pictures that do not say whose they are. */
  #current: string | undefined;

  constructor(client: ComfyUIClient, options: { clock: Clock; log: Logger; openMs: number }) {
    this.#client = client;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#openMs = options.openMs;
  }

  /** The open connection; undefined when there is none to be had now. */
  async open(signal: AbortSignal): Promise<EventConnection | undefined> {
    if (this.#connection) return this.#connection;
    if (!this.#opening && this.#clock.elapsed() < this.#notBefore) return undefined;
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined;
    });
    return abortable(this.#opening, signal);
  }

  add(watch: PromptWatch): void {
    this.#watches.set(watch.promptId, watch);
  }

  remove(watch: PromptWatch): void {
    if (this.#watches.get(watch.promptId) === watch) this.#watches.delete(watch.promptId);
  }

  close(): void {
    this.#end.abort();
    this.#connection?.close();
    this.#connection = undefined;
  }

  async #open(): Promise<EventConnection | undefined> {
    const late = () => new DOMException(`no websocket within ${this.#openMs} ms`, 'TimeoutError');
    using limit = deadline(this.#clock, this.#openMs, late, this.#end.signal);
    try {
      const handlers = {
        onEvent: (event: EngineEvent) => this.#route(event),
        onGarbage: () => this.#distrust('a message made no sense'),
        onClose: (problem: string) => this.#lost(problem),
      };
      this.#connection = await this.#client.connect(randomUUID(), handlers, limit);
      this.#failures = 0;
      return this.#connection;
    } catch (error) {
      if (this.#end.signal.aborted) return undefined;
      const waitMs = Math.min(retryMs.most, retryMs.first * 2 ** this.#failures++);
      this.#notBefore = this.#clock.elapsed() + waitMs;
      this.#log.warn(`no websocket; the engine is asked instead: ${reportError(error).message}`);
      return undefined;
    }
  }

  #route(event: EngineEvent): void {
    if (event.type === 'execution_start') this.#current = event.data.prompt_id;
    const data = 'data' in event ? event.data : undefined;
    const own = (data as { prompt_id?: unknown } | undefined)?.prompt_id;
    const promptId = typeof own === 'string' ? own : event.type === 'preview' ? this.#current : undefined;
    if (promptId !== undefined) this.#watches.get(promptId)?.see(event);
  }

  #lost(problem: string): void {
    this.#connection = undefined;
    this.#distrust(problem);
  }

  #distrust(problem: string): void {
    if (this.#watches.size > 0) this.#log.info(`the engine is asked: ${problem}`);
    for (const watch of this.#watches.values()) watch.distrust();
  }
}
