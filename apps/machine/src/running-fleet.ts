import { join } from 'node:path';
import type { Fleet, RunningEngine } from '@mgpu/comfyui/setup';
import { type ControlClient, DaemonNotRunningError, HeldError, type MachineStatus } from '@mgpu/control';
import { type InstanceStatus, type Layout, reviveError } from '@mgpu/core';

/** The ComfyUI instances of a machine, moved through its daemon; none while no daemon runs. */
export class RunningFleet implements Fleet, AsyncDisposable {
  readonly #client: ControlClient;
  readonly #layout: Layout;
  /** Workers that are kept from feeding an engine that is not proved, by their ids. */
  readonly #holds = new Map<string, Promise<Disposable>>();

  constructor(client: ControlClient, layout: Layout) {
    this.#client = client;
    this.#layout = layout;
  }

  async engines(): Promise<readonly RunningEngine[]> {
    const instances = await this.#instances();
    return instances.flatMap(({ id, kind, state, endpoint }) => {
      if (kind !== 'comfyui' || state !== 'running' || endpoint === undefined) return [];
      return [{ id, url: new URL(endpoint), logFile: join(this.#layout.instance(id), 'logs', 'output.log') }];
    });
  }

  async move({ id }: RunningEngine, check: () => Promise<void>, signal: AbortSignal | undefined): Promise<void> {
    const instances = await this.#instances();
    const gpu = instances.find((each) => each.id === id)?.gpu;
    // Whoever feeds it lets its job end first, and begins with no other before the engine is proved. Where it is not, that is
    // when it has moved back, or this fleet is done with.
    const feeders = instances.filter((each) => each.kind === 'worker' && each.gpu === gpu).map((each) => each.id);
    const options = signal ? { signal } : {};
    await all(feeders.map((each) => this.#hold(each, `${id} is brought to another generation`, options)));
    await this.#client.restartInstance(id, options);
    await check();
    await all(feeders.map((each) => this.#release(each)));
    await this.#untilBack(new Set(feeders), signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await all([...this.#holds.keys()].map((each) => this.#release(each)));
  }

  async #hold(id: string, why: string, options: { signal?: AbortSignal }): Promise<void> {
    const hold = this.#holds.get(id) ?? this.#client.holdInstance(id, { why, ...options });
    this.#holds.set(id, hold);
    await hold.catch((error: unknown) => {
      this.#holds.delete(id);
      throw error;
    });
  }

  async #release(id: string): Promise<void> {
    const hold = this.#holds.get(id);
    this.#holds.delete(id);
    (await hold)?.[Symbol.dispose]();
  }

  /** Resolves when these run, or are kept from it by somebody else. Rejects with why one failed. */
  async #untilBack(ids: Set<string>, signal: AbortSignal | undefined): Promise<void> {
    if (ids.size === 0) return;
    for await (const event of this.#client.events(signal ? { signal } : {})) {
      const news = event.event === 'snapshot' ? event.data.instances : event.event === 'instance' ? [event.data] : [];
      for (const instance of news) if (ids.has(instance.id) && isSettled(instance)) ids.delete(instance.id);
      if (ids.size === 0) return;
    }
    signal?.throwIfAborted();
  }

  async #instances(): Promise<MachineStatus['instances']> {
    try {
      return (await this.#client.status()).instances;
    } catch (error) {
      if (error instanceof DaemonNotRunningError) return [];
      throw error;
    }
  }
}

function isSettled({ id, state, desired, reason }: InstanceStatus): boolean {
  const report = reason && 'code' in reason ? reason : undefined;
  if (state === 'failed') throw report ? reviveError(report) : new Error(`${id} failed: ${reason?.message}`);
  if (state === 'blocked') return report?.code !== HeldError.code;
  return state === 'running' || desired === 'down';
}

/** One that fails leaves none of the others under way. */
async function all(works: readonly Promise<void>[]): Promise<void> {
  const ends = await Promise.allSettled(works);
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}
