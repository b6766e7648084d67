import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from './api-error.ts';
import type { StoredModel } from './store.ts';

export interface SchedulerOptions {
  readonly parallel: number;
  readonly maxLoaded: number;
  readonly maxQueue: number;
  readonly loadMs: number;
}

export interface LoadRequest {
  readonly model: StoredModel;
  /** Options that a loaded model is bound to; with others it is loaded anew. */
  readonly loadOptions: Readonly<Record<string, unknown>>;
  readonly contextLength: number;
  readonly keepAliveMs: number;
  readonly signal: AbortSignal;
  /** Called when it is loaded; throws when it does not fit. */
  readonly onLoad: () => void;
}

/** A place in a loaded model, to be given back. */
export interface Slot extends Disposable {
  /** How long the loading took. */
  readonly loadMs: number;
}

/** A model in memory. */
export interface Loaded {
  readonly model: StoredModel;
  readonly contextLength: number;
  expiresAt: number;
}

interface Runner extends Loaded {
  readonly key: string;
  keepAliveMs: number;
  active: number;
  isLoading: boolean;
  timer: NodeJS.Timeout | undefined;
}

const forEver = Date.UTC(2318, 0, 1);
/** Longest timer of Node. */
const maxTimerMs = 2 ** 31 - 1;

/** Which models are in memory: loads, evicts, keeps alive, and has requests wait in order. */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #runners = new Map<string, Runner>();
  #waiting: (() => void)[] = [];
  #pending = 0;
  /** Models loaded since the start. */
  loads = 0;

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  /** Longest remaining first. */
  get loaded(): readonly Loaded[] {
    const ready = [...this.#runners.values()].filter(({ isLoading }) => !isLoading);
    return ready.toSorted((a, b) => b.expiresAt - a.expiresAt);
  }

  get active(): number {
    return [...this.#runners.values()].reduce((sum, { active }) => sum + active, 0);
  }

  /** Throws 503 when too many wait, what `onLoad` throws, and the signal's reason. */
  async acquire(request: LoadRequest): Promise<Slot> {
    if (this.#pending >= this.#options.maxQueue) throw busy();
    this.#pending++;
    try {
      for (;;) {
        const slot = await this.#try(request);
        if (slot) return slot;
        await this.#change(request.signal);
      }
    } finally {
      this.#pending--;
    }
  }

  /** Once nobody uses it; nothing if it is not loaded. */
  unload(name: string): void {
    const runner = this.#runners.get(name);
    if (!runner) return;
    runner.keepAliveMs = 0;
    if (runner.active === 0 && !runner.isLoading) this.#drop(runner);
  }

  async #try(request: LoadRequest): Promise<Slot | undefined> {
    const { model, loadOptions } = request;
    const key = JSON.stringify([model.digest, loadOptions]);
    const runner = this.#runners.get(model.name);
    if (runner && runner.key === key) {
      const isFree = !runner.isLoading && runner.active < this.#options.parallel;
      return isFree ? this.#use(runner, request, 0) : undefined;
    }
    const victim = runner ?? (this.#runners.size < this.#options.maxLoaded ? undefined : this.#toEvict());
    const isFull = this.#runners.size >= this.#options.maxLoaded;
    if (!victim) return isFull ? undefined : this.#load(key, request);
    if (victim.active > 0 || victim.isLoading) return undefined;
    this.#drop(victim);
    return this.#load(key, request);
  }

  /** An idle one that would go soonest by itself. */
  #toEvict(): Runner | undefined {
    const idle = [...this.#runners.values()].filter(({ active, isLoading }) => active === 0 && !isLoading);
    return idle.toSorted((a, b) => a.keepAliveMs - b.keepAliveMs)[0];
  }

  async #load(key: string, request: LoadRequest): Promise<Slot> {
    const { model, contextLength, keepAliveMs, onLoad } = request;
    const begun = performance.now();
    const runner: Runner = {
      model,
      key,
      contextLength,
      keepAliveMs,
      expiresAt: 0,
      active: 0,
      isLoading: true,
      timer: undefined,
    };
    this.#runners.set(model.name, runner);
    try {
      // Goes on when the one who asked goes away, as the real loading does.
      await sleep(this.#options.loadMs);
      onLoad();
    } catch (error) {
      this.#drop(runner);
      throw error;
    }
    runner.isLoading = false;
    this.loads++;
    return this.#use(runner, request, performance.now() - begun);
  }

  #use(runner: Runner, { keepAliveMs }: LoadRequest, loadMs: number): Slot {
    clearTimeout(runner.timer);
    runner.active++;
    runner.keepAliveMs = keepAliveMs;
    this.#renew(runner);
    this.#wake();
    return {
      loadMs,
      [Symbol.dispose]: () => {
        runner.active--;
        if (runner.active === 0 && this.#runners.get(runner.model.name) === runner) this.#rest(runner);
        this.#wake();
      },
    };
  }

  #rest(runner: Runner): void {
    if (runner.keepAliveMs <= 0) {
      this.#drop(runner);
      return;
    }
    this.#renew(runner);
    if (Number.isFinite(runner.keepAliveMs))
      runner.timer = setTimeout(() => this.#drop(runner), Math.min(runner.keepAliveMs, maxTimerMs)).unref();
  }

  #renew(runner: Runner): void {
    runner.expiresAt = Number.isFinite(runner.keepAliveMs) ? Date.now() + runner.keepAliveMs : forEver;
  }

  #drop(runner: Runner): void {
    clearTimeout(runner.timer);
    this.#runners.delete(runner.model.name);
    this.#wake();
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push(resolve);
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      if (signal.aborted) reject(signal.reason);
    });
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

/** Two spaces, as the real one. */
export const busy = () => new ApiError(503, 'server busy, please try again.  maximum pending requests exceeded');
