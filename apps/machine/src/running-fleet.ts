import { join } from 'node:path';
import type { Fleet, RunningEngine } from '@mgpu/comfyui/setup';
import { type ControlClient, DaemonNotRunningError, type MachineStatus } from '@mgpu/control';
import type { Layout } from '@mgpu/core';

/** The ComfyUI instances of a machine, moved through its daemon; none while no daemon runs. */
export class RunningFleet implements Fleet {
  readonly #client: ControlClient;
  readonly #layout: Layout;

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
    const feeders = instances.filter((each) => each.kind === 'worker' && each.gpu === gpu && each.desired === 'up');
    try {
      await Promise.all(feeders.map((each) => this.#client.stopInstance(each.id, signal ? { signal } : {})));
      await this.#client.restartInstance(id, signal ? { signal } : {});
      await check();
    } finally {
      await Promise.all(feeders.map((each) => this.#client.startInstance(each.id)));
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
