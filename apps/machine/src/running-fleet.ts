import { join } from 'node:path';
import type { Fleet, RunningEngine } from '@mgpu/comfyui/setup';
import { type ControlClient, DaemonNotRunningError, type MachineStatus } from '@mgpu/control';
import type { Layout } from '@mgpu/core';

/** The ComfyUI instances of a machine, moved through its daemon; none while no daemon runs. */
export class RunningFleet implements Fleet, Disposable {
  readonly #client: ControlClient;
  readonly #layout: Layout;
  /** Workers that are kept from feeding an engine that is not proved, by their ids. */
  readonly #holds = new Map<string, Disposable>();

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
    // when it has moved back.
    const feeders = instances.filter((each) => each.kind === 'worker' && each.gpu === gpu).map((each) => each.id);
    const options = signal ? { signal } : {};
    await Promise.all(feeders.map((each) => this.#hold(each, `${id} is brought to another generation`, options)));
    await this.#client.restartInstance(id, options);
    await check();
    this.#release(feeders);
  }

  [Symbol.dispose](): void {
    this.#release([...this.#holds.keys()]);
  }

  async #hold(id: string, why: string, options: { signal?: AbortSignal }): Promise<void> {
    if (!this.#holds.has(id)) this.#holds.set(id, await this.#client.holdInstance(id, { why, ...options }));
  }

  #release(ids: readonly string[]): void {
    for (const id of ids) {
      this.#holds.get(id)?.[Symbol.dispose]();
      this.#holds.delete(id);
    }
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
