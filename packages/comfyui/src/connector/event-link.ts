import { randomUUID } from 'node:crypto';
import { abortable, type Clock, deadline, type Logger, reportError } from '@mgpu/core/jobs';
import { type EventConnection, openEvents } from '../client/event-socket.ts';
import type { EngineEvent } from '../client/types.ts';
import type { PromptWatch } from './prompt-watch.ts';

const retryMs = { first: 250, most: 10_000 };

/**
 * The websocket to an engine, shared by all its jobs. It is opened before a job is submitted, under a new id each time, and
 * done without when it cannot be: then the engine is asked. Prompts of earlier ids are heard on one more each, for their
 * progress alone. Nothing waits for them, no timer runs for them.
 */
export class EventLink {
  readonly #engine: URL;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #openMs: number;
  readonly #watches = new Map<string, PromptWatch>();
  readonly #end = new AbortController();
  #connection: EventConnection | undefined;
  #opening: Promise<EventConnection | undefined> | undefined;
  readonly #earlier = new Map<string, EventConnection | undefined>();
  #failures = 0;
  #notBefore = Number.NEGATIVE_INFINITY;
  /** The prompt that runs, for pictures that do not say whose they are. */
  #current: string | undefined;

  constructor(engine: URL, options: { clock: Clock; log: Logger; openMs: number }) {
    this.#engine = engine;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#openMs = options.openMs;
  }

  /** The open connection; undefined when there is none to be had now. */
  async open(signal: AbortSignal): Promise<EventConnection | undefined> {
    if (this.#connection) return this.#connection;
    if (!this.#opening && this.#clock.elapsed() < this.#notBefore) return undefined;
    this.#opening ??= this.#openMain().finally(() => {
      this.#opening = undefined;
    });
    return abortable(this.#opening, signal);
  }

  /** Hears, as soon as that can be, what is told to an id with which prompts were submitted that still run. */
  listen(clientId: string): void {
    if (this.#earlier.has(clientId)) return;
    this.#earlier.set(clientId, undefined);
    const forget = (problem: string) => {
      if (this.#earlier.delete(clientId)) this.#log.info(`no progress of what runs already: ${problem}`);
    };
    this.#connect(clientId, forget).then(
      (connection) => {
        if (this.#earlier.has(clientId)) this.#earlier.set(clientId, connection);
        else connection.close();
      },
      (error) => forget(reportError(error).message),
    );
  }

  add(watch: PromptWatch): void {
    this.#watches.set(watch.promptId, watch);
  }

  remove(watch: PromptWatch): void {
    if (this.#watches.get(watch.promptId) === watch) this.#watches.delete(watch.promptId);
    if (this.#watches.size === 0) this.#closeEarlier();
  }

  /** Does without the present connection; the next job gets another. */
  renew(problem: string): void {
    this.#connection?.close();
    this.#lost(problem);
  }

  close(): void {
    this.#end.abort();
    this.#closeEarlier();
    this.#connection?.close();
    this.#connection = undefined;
  }

  #closeEarlier(): void {
    for (const connection of this.#earlier.values()) connection?.close();
    this.#earlier.clear();
  }

  async #openMain(): Promise<EventConnection | undefined> {
    try {
      const clientId = randomUUID();
      this.#connection = await this.#connect(clientId, (problem) => {
        this.#lost(problem);
        if (this.#watches.size > 0) this.listen(clientId);
      });
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

  async #connect(clientId: string, onClose: (problem: string) => void): Promise<EventConnection> {
    const late = () => new DOMException(`no websocket within ${this.#openMs} ms`, 'TimeoutError');
    using limit = deadline(this.#clock, this.#openMs, late, this.#end.signal);
    const onEvent = (event: EngineEvent) => this.#route(event);
    const onGarbage = (problem: string) => this.#distrust(problem);
    return await openEvents(this.#engine, clientId, { onEvent, onGarbage, onClose }, limit);
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
