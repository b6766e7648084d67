import { ControlClient, DaemonNotRunningError } from '@mgpu/control';
import { type Choice, findGpus, planMachine } from '@mgpu/core';
import type { CommandContext } from './commands/command.ts';
import { loadSettings, locateMachine } from './settings.ts';

/** An instance that runs, or that a daemon would have. */
interface KnownInstance {
  readonly id: string;
  readonly kind: string;
  readonly gpu?: number;
}

export interface KnownMachine extends Choice<KnownInstance> {}

/** GPUs and instances as the daemon has them; without one, as the configuration and the driver say. */
export async function knownMachine({ settings, interrupted }: CommandContext): Promise<KnownMachine> {
  const { socketPath } = await locateMachine(settings);
  await using client = new ControlClient({ socketPath });
  try {
    return await client.status({ signal: interrupted });
  } catch (error) {
    if (!(error instanceof DaemonNotRunningError)) throw error;
  }
  const { config, definitions } = await loadSettings(settings);
  const inventory = await findGpus(config.machine.gpu, { signal: interrupted });
  const { instances } = planMachine(definitions, config, inventory);
  return {
    gpus: inventory.gpus,
    instances: instances.map(({ id, definition: { kind }, gpu }) => ({ id, kind, ...(gpu ? { gpu: gpu.index } : {}) })),
  };
}
