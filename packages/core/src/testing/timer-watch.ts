import { AsyncLocalStorage, createHook } from 'node:async_hooks';

/** Knows the timers that something started. */
export interface TimerWatch extends Disposable {
  /** Whatever this does, and what follows from it, is watched. */
  run<T>(work: () => T): T;
  /** How many of its timers are running and keep the process alive. */
  readonly running: number;
}

/** Tells the timers of one piece of work from those of everybody else in the process, such as the test framework. */
export function watchTimers(): TimerWatch {
  const inside = new AsyncLocalStorage<true>();
  const timers = new Map<number, NodeJS.Timeout>();
  const hook = createHook({
    init(id, type, _, resource) {
      if (type === 'Timeout' && inside.getStore()) timers.set(id, resource as NodeJS.Timeout);
    },
    destroy: (id) => void timers.delete(id),
  }).enable();
  return {
    run: (work) => inside.run(true, work),
    get running() {
      return [...timers.values()].filter((timer) => timer.hasRef()).length;
    },
    [Symbol.dispose]: () => void hook.disable(),
  };
}
