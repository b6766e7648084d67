import { EventEmitter } from 'eventemitter3';

/** Payload types by event name. Names are nouns of past facts; there is no `error` event: failure is a state. */
export type EventMap = object;

/** What went wrong in a listener; it never reaches the emitter or the other listeners. */
export type ListenerFailure = (event: string, error: unknown) => void;

/**
 * Typed events whose listeners are isolated from the emitter and from each other: a listener that throws or rejects is
 * reported to `onFailure` and nothing else happens.
 */
export class Emitter<E extends EventMap> {
  readonly #emitter = new EventEmitter();
  readonly #onFailure: ListenerFailure;

  constructor(onFailure: ListenerFailure) {
    this.#onFailure = onFailure;
  }

  /** Returns the function that unsubscribes. */
  on<K extends keyof E & string>(event: K, listener: (payload: E[K]) => unknown): () => void {
    const isolated = (payload: E[K]) => {
      try {
        const result = listener(payload);
        if (result instanceof Promise) result.catch((error: unknown) => this.#onFailure(event, error));
      } catch (error) {
        this.#onFailure(event, error);
      }
    };
    this.#emitter.on(event, isolated);
    return () => this.#emitter.off(event, isolated);
  }

  emit<K extends keyof E & string>(event: K, payload: E[K]): void {
    this.#emitter.emit(event, payload);
  }
}
