import { join } from 'node:path';
import type { Fleet, RunningEngine } from '@mgpu/comfyui/setup';
import { type ControlClient, DaemonNotRunningError, type MachineStatus } from '@mgpu/control';
import type { Layout } from '@mgpu/core';

/** The ComfyUI instances of a machine, moved through its daemon; none while no daemon runs. */
export class RunningFleet implements Fleet, AsyncDisposable {
  readonly #client: ControlClient;
  readonly #layout: Layout;
  /** Workers that were stopped and not started again yet. */
  readonly #paused = new Set<string>();

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
    // Whoever feeds it lets its job end first, and begins with no other before the engine is proved.
    const isFed = ({ desired, id: feeder }: MachineStatus['instances'][number]) =>
      desired === 'up' || this.#paused.has(feeder);
    const feeders = instances.filter((each) => each.kind === 'worker' && each.gpu === gpu && isFed(each));
    for (const each of feeders) this.#paused.add(each.id);
    const options = signal ? { signal } : {};
    await Promise.all(feeders.map((each) => this.#client.stopInstance(each.id, options)));
    await this.#client.restartInstance(id, options);
    await check();
    await this.#resume(feeders.map((each) => each.id));
  }

  /** Whoever was stopped for an engine that did not come to be proved goes on all the same. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resume([...this.#paused]);
  }

  async #resume(ids: readonly string[]): Promise<void> {
    await Promise.all(ids.map((id) => this.#client.startInstance(id)));
    for (const id of ids) this.#paused.delete(id);
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
