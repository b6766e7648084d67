/** Something with typed events, like every service and the orchestrator. */
interface Source {
  on(event: never, listener: (payload: never) => unknown): () => void;
}

/** Events in the order they happened, and a way to wait for one. */
export interface Recorder<T> extends Disposable {
  readonly events: readonly T[];
  /** Resolves with the first event, past or future, that matches. */
  until(matches: (event: T) => boolean, options?: { signal?: AbortSignal }): Promise<T>;
}

/** Records one event of a source until disposed. */
export function record<T>(source: Source, event: string): Recorder<T> {
  const events: T[] = [];
  const waiting = new Set<(payload: T) => void>();
  const off = source.on(event as never, (payload: never) => {
    events.push(payload);
    for (const each of [...waiting]) each(payload);
  });
  return {
    events,
    until(matches, { signal } = {}) {
      const past = events.find(matches);
      if (past !== undefined) return Promise.resolve(past);
      if (signal?.aborted) return Promise.reject(signal.reason);
      return new Promise((resolve, reject) => {
        const check = (payload: T) => {
          if (!matches(payload)) return;
          waiting.delete(check);
          resolve(payload);
        };
        waiting.add(check);
        signal?.addEventListener(
          'abort',
          () => {
            waiting.delete(check);
            reject(signal.reason);
          },
          { once: true },
        );
      });
    },
    [Symbol.dispose]: off,
  };
}
