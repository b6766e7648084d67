import { ControlClient } from '@mgpu/control';
import type { CommandContext } from './commands/command.ts';
import { NoEngineError } from './errors.ts';
import { locateMachine } from './settings.ts';

export interface RunningEngine {
  /** Of its instance. */
  readonly id: string;
  readonly url: string;
}

/**
 * The instances of a kind that run, in the order of their GPUs; with `gpu` the one there. Throws `MACHINE_NO_ENGINE` when there
 * is none, and `CONTROL_DAEMON_NOT_RUNNING`.
 */
export async function runningEngines(
  { settings, interrupted }: Pick<CommandContext, 'settings' | 'interrupted'>,
  { kind, name, gpu }: { readonly kind: string; readonly name: string; readonly gpu?: number | undefined },
): Promise<[RunningEngine, ...RunningEngine[]]> {
  const { socketPath } = await locateMachine(settings);
  await using control = new ControlClient({ socketPath });
  const { instances } = await control.status({ signal: interrupted });
  const ours = instances.filter((each) => each.kind === kind);
  const [first, ...others] = ours.flatMap(({ id, state, endpoint, gpu: index }) =>
    state === 'running' && endpoint !== undefined && (gpu === undefined || gpu === index)
      ? [{ id, url: endpoint }]
      : [],
  );
  if (first) return [first, ...others];
  const where = gpu === undefined ? 'this machine' : `GPU ${gpu}`;
  throw new NoEngineError({ kind, name, where, states: ours.map(({ id, state }) => `${id} is ${state}`) });
}
